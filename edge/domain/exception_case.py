"""A failure that a person must settle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ExceptionKind(StrEnum):
    """The kind of failure that a case is about."""

    SYSTEM_FAULT = "system_fault"
    DATA_ERROR = "data_error"
    BUSINESS_RULE = "business_rule"
    DISPUTE = "dispute"
    DOOR_NOT_OPENED = "door_not_opened"
    DOOR_LEFT_OPEN = "door_left_open"
    SENSOR_FAULT = "sensor_fault"
    PLATFORM_CONFLICT = "platform_conflict"
    UPLOAD_REFUSED = "upload_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionCase:
    """One case: what happened, what was tried, and how it was settled. Times are Unix seconds."""

    id: int = 0  # the store numbers a case when it is raised
    kind: ExceptionKind
    cause: str
    tried: str
    cti: bytes | None = None
    order_id: str | None = None
    compartment: str | None = None
    ledger_id: int | None = None
    raised_s: int
    settled_s: int | None = None  # None while the case is open
    settled_by: str | None = None
    settlement: str | None = None
    note: str | None = None


class Settlement(StrEnum):
    """How a case was settled."""

    FIXED = "fixed"  # the cause is repaired; nothing else changes
    ACCEPTED = "accepted"  # nothing is changed; the loss stands
    COLLECTED = "collected"  # a person looked: the parcel is gone
    NOT_COLLECTED = (
        "not_collected"  # a person looked: the parcel is inside; the code is valid again
    )
    REVERSED = "reversed"  # the redemption was reversed
    RETRIED = "retried"  # the write-off was tried again, and redeemed
