"""A person's decision on a redemption that waits for review, signed with that person's key. Pure.

The trust list names the key for the purpose ``review`` and its owner (its one issuer). The hub and
the device each verify it, so that neither the broker nor the hub's administrator can decide in
another person's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from edge.documents.document_type import (
    DocumentType,
    boolean,
    free_text,
    integer,
    octets,
    text,
    time,
)
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.signed_document import DocumentFault, DocumentRefusal, Keyring
from edge.values.instant import Instant
from sync.wire.messages import MAX_SEQ

LONGEST_REASON: Final = 400  # characters
NOT_VERIFIED: Final = "not_verified"  # the device could not verify a decision


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDecision:
    """Approve or reject the redemption that a device reported as event ``seq`` of ``epoch``."""

    tenant: str
    device: str
    epoch: str
    seq: int
    cti: bytes  # 16 bytes
    approve: bool
    reason: str  # why it is rejected; may be empty with an approval
    issued_at_s: int  # Unix seconds


def _has_a_reason(decision: ReviewDecision) -> None:
    if not (decision.approve or decision.reason.strip()):
        raise ValueError("a rejection has a reason")


_TYPE: Final = DocumentType(
    name="review decision",
    purpose=Purpose.REVIEW,
    content=ReviewDecision,
    fields=(
        text(1, "tenant"),
        text(2, "device"),
        text(3, "epoch"),
        integer(4, "seq", 1, MAX_SEQ + 1),
        octets(5, "cti", length=16),
        boolean(6, "approve"),
        free_text(7, "reason", longest=LONGEST_REASON),
        time(8, "issued_at_s"),
    ),
    rule=_has_a_reason,
)


def sign_review_decision(decision: ReviewDecision, reviewer: Signer) -> bytes:
    """Return ``decision`` signed by the reviewer."""
    return _TYPE.sign(decision, reviewer)


def decision_name(data: bytes) -> str:
    """Return the name by which a device reports a decision that it refused.

    It is the first half of the SHA-256 of the signed decision, 32 hexadecimal digits.
    """
    return sha256(data).hexdigest()[:32]


def open_review_decision(
    data: bytes, keys: Keyring, *, now: Instant
) -> tuple[ReviewDecision, str] | DocumentRefusal:
    """Return the decision in ``data`` and the person who signed it."""
    opened = _TYPE.open_with_key(data, keys, now=now)
    if isinstance(opened, DocumentRefusal):
        return opened
    decision, key = opened
    if len(key.issuers) != 1:
        return DocumentRefusal(
            DocumentFault.KEY_PURPOSE, f"the trust list does not say whose key {key.kid.hex()} is"
        )
    (reviewer,) = key.issuers
    return decision, reviewer
