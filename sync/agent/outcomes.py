"""What became of a document that came down."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DocumentOutcome(StrEnum):
    """What became of a verified document."""

    TRUST_LIST = "trust_list_stored"
    STATUS_LIST = "status_list_stored"
    OPERATORS = "operator_list_stored"
    ORDERS = "orders_applied"
    ORDERS_COMPLETE = "orders_snapshot_complete"
    SAME = "already_stored"
    REVIEWS = "reviews_applied"
    RESTORED = "ledger_restored"
    RESTORE_COMPLETE = "ledger_restore_complete"
    ORDERS_GAP = "orders_gap"  # something before it is missing: asked for


@dataclass(frozen=True, slots=True)
class DownlinkRefusal:
    """A message that changed nothing, and why. ``reason`` is a code."""

    reason: str
    detail: str


Outcome = DocumentOutcome | DownlinkRefusal
