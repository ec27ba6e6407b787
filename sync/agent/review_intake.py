"""Takes what people at the platform decided: believed by its maker's own signature, answered when it has no effect.

The platform says a decision until it hears of it, so a device that cannot take one says so, once.
"""

from __future__ import annotations

import secrets
from typing import Final

from edge.store import reviews
from edge.store.database.store import Store
from edge.store.reviews import PlatformDecision, ReviewResult
from edge.token.signed_document import DocumentRefusal, Keyring
from edge.values.instant import Instant
from sync.wire.review_decision import NOT_VERIFIED, decision_name, open_review_decision

_WORDS: Final = {
    ReviewResult.NOT_FOUND: "no redemption of this store waits under that",
    ReviewResult.SAME_PERSON: "who scanned it does not decide",
}


def take_decision(
    store: Store, raw: bytes, *, keys: Keyring, device: str, now: Instant
) -> ReviewResult | tuple[str, str]:
    """What came of a decision, or why it had no effect: a code and words. Raises StoreUnavailableError."""
    opened = open_review_decision(raw, keys, now=now)
    if isinstance(opened, DocumentRefusal):
        _answer(store, raw, NOT_VERIFIED, now)
        return opened.fault, opened.detail
    decision, by = opened
    if decision.device != device:
        return ReviewResult.ALREADY  # nothing to do here
    made = PlatformDecision(
        epoch=decision.epoch,
        seq=decision.seq,
        cti=decision.cti,
        approve=decision.approve,
        by=by,
        reason=decision.reason,
    )
    reviewed = reviews.apply_platform_decision(
        store, made, now=now, random_bytes=secrets.token_bytes
    )
    if reviewed not in _WORDS:
        return reviewed
    _answer(store, raw, reviewed.value, now)
    return reviewed.value, _WORDS[reviewed]


def _answer(store: Store, raw: bytes, reason: str, now: Instant) -> None:
    reviews.report_refused_decision(
        store, decision=decision_name(raw), reason=reason, now=now, random_bytes=secrets.token_bytes
    )
