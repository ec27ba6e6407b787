"""A person's decision about a redemption that waits for a second person: signed with that person's own key. Pure.

The trust list names the key for the purpose ``review`` and whose it is (its one issuer). The hub and the device
each verify it, so that neither the broker nor whoever runs the hub can decide in somebody's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from edge.token import cbor, fields
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused
from edge.token.signed_document import (
    DocumentFault,
    DocumentRefusal,
    Keyring,
    open_document,
    sign_document,
)
from edge.values.instant import Instant
from sync.wire.messages import MAX_SEQ

LONGEST_REASON: Final = 400
NOT_BELIEVED: Final = "not_believed"  # a device's word: it could not verify a decision
_TENANT, _DEVICE, _EPOCH, _SEQ, _CTI, _APPROVE, _REASON, _ISSUED_AT = range(1, 9)
_LABELS: Final = frozenset(range(1, 9))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDecision:
    """About the redemption that a device told as event ``seq`` of ``epoch``."""

    tenant: str
    device: str
    epoch: str
    seq: int
    cti: bytes
    approve: bool
    reason: str  # why it is rejected; may be empty with an approval
    issued_at_s: int


def sign_review_decision(decision: ReviewDecision, reviewer: Signer) -> bytes:
    """Return ``decision`` signed by the reviewer."""
    payload: dict[int, cbor.Item] = {
        _TENANT: decision.tenant,
        _DEVICE: decision.device,
        _EPOCH: decision.epoch,
        _SEQ: decision.seq,
        _CTI: decision.cti,
        _APPROVE: decision.approve,
        _REASON: decision.reason,
        _ISSUED_AT: decision.issued_at_s,
    }
    return sign_document(payload, Purpose.REVIEW, reviewer)


def decision_name(data: bytes) -> str:
    """What a device calls a decision that it cannot take: the first half of its SHA-256, in hexadecimal digits."""
    return sha256(data).hexdigest()[:32]


def open_review_decision(
    data: bytes, keys: Keyring, *, now: Instant
) -> tuple[ReviewDecision, str] | DocumentRefusal:
    """Return the decision in ``data`` and who made it, once the signature of that person's key holds."""
    document = open_document(data, Purpose.REVIEW, keys, now=now)
    if isinstance(document, DocumentRefusal):
        return document
    key = keys.find(document.kid)
    if key is None or len(key.issuers) != 1:
        return DocumentRefusal(
            DocumentFault.KEY_PURPOSE,
            f"the trust list does not say whose key {document.kid.hex()} is",
        )
    (by,) = key.issuers
    try:
        return _read(fields.mapping(document.payload, "decision", _LABELS)), by
    except (InputRefused, ValueError) as wrong:
        return DocumentRefusal(DocumentFault.CONTENT, str(wrong))


def _read(signed: dict[cbor.Item, cbor.Item]) -> ReviewDecision:
    approve, reason = signed.get(_APPROVE), signed.get(_REASON)
    cti = fields.octets(signed, _CTI, "cti")
    if type(approve) is not bool or type(reason) is not str or len(cti) != 16:
        raise ValueError("approve is a boolean, the reason a text, the cti 16 bytes")
    if len(reason) > LONGEST_REASON or not (approve or reason.strip()):
        raise ValueError(f"a rejection has a reason, of at most {LONGEST_REASON} characters")
    return ReviewDecision(
        tenant=fields.text(signed, _TENANT, "tenant"),
        device=fields.text(signed, _DEVICE, "device"),
        epoch=fields.text(signed, _EPOCH, "epoch"),
        seq=fields.integer(signed, _SEQ, "seq", 1, MAX_SEQ + 1),
        cti=cti,
        approve=approve,
        reason=reason,
        issued_at_s=fields.integer(signed, _ISSUED_AT, "issued at", 0, fields.TIME_END),
    )
