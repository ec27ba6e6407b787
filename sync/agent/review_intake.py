"""Applies what reviewers at the platform decided, verified by each reviewer's own signature.

The platform repeats a decision until the device reports an effect, so a device that cannot apply
one reports that, once.
"""

from __future__ import annotations

import secrets
from typing import Final

from edge.store import reviews
from edge.store.database.store import Store
from edge.store.reviews import PlatformDecision, ReviewResult
from edge.token.signed_document import DocumentRefusal, Keyring
from edge.values.instant import Instant
from sync.agent.outcomes import DownlinkRefusal
from sync.wire.review_decision import NOT_VERIFIED, decision_name, open_review_decision

_REFUSED: Final = {
    ReviewResult.NOT_FOUND: "no redemption of this store waits under that number",
    ReviewResult.SAME_PERSON: "the person who scanned the code may not decide",
}


def apply_decision(
    store: Store, raw: bytes, *, keys: Keyring, device: str, now: Instant
) -> ReviewResult | DownlinkRefusal:
    """Apply a signed decision, or report why it has no effect. Raises StoreUnavailableError."""
    opened = open_review_decision(raw, keys, now=now)
    if isinstance(opened, DocumentRefusal):
        _report_refused(store, raw, NOT_VERIFIED, now)
        return DownlinkRefusal(opened.fault, opened.detail)
    decision, by = opened
    if decision.device != device:
        return ReviewResult.ALREADY  # another device applies it
    made = PlatformDecision(
        epoch=decision.epoch,
        seq=decision.seq,
        cti=decision.cti,
        approve=decision.approve,
        by=by,
        reason=decision.reason,
    )
    result = reviews.apply_platform_decision(store, made, now=now, random_bytes=secrets.token_bytes)
    if result not in _REFUSED:
        return result
    _report_refused(store, raw, result.value, now)
    return DownlinkRefusal(result.value, _REFUSED[result])


def _report_refused(store: Store, raw: bytes, reason: str, now: Instant) -> None:
    reviews.report_refused_decision(
        store, decision=decision_name(raw), reason=reason, now=now, random_bytes=secrets.token_bytes
    )
