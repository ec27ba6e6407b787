"""The order to leave the fleet: signed by ops, for one device. Pure."""

from __future__ import annotations

from dataclasses import dataclass
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

ORDER_KIND: Final = 2
_KIND, _TENANT, _DEVICE, _REASON, _ISSUED_AT, _RECOVERY = range(1, 7)
_LABELS: Final = frozenset(range(1, 7))


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationOrder:
    """A device is to stop, to wipe what it knows of people, and to keep what it has not told sealed."""

    tenant: str
    device: str
    reason: str
    issued_at_s: int
    recovery_key: bytes  # X25519 public key, 32 bytes: whom the unsent events are sealed to


def sign_revocation_order(order: RevocationOrder, signer: Signer) -> bytes:
    """Return ``order`` signed."""
    payload: dict[int, cbor.Item] = {
        _KIND: ORDER_KIND,
        _TENANT: order.tenant,
        _DEVICE: order.device,
        _REASON: order.reason,
        _ISSUED_AT: order.issued_at_s,
        _RECOVERY: order.recovery_key,
    }
    return sign_document(payload, Purpose.ENROLMENT, signer)


def open_revocation_order(
    data: bytes, keys: Keyring, *, now: Instant
) -> RevocationOrder | DocumentRefusal:
    """Return the order in ``data`` once its signature holds. Whom it is for, the caller compares."""
    document = open_document(data, Purpose.ENROLMENT, keys, now=now)
    if isinstance(document, DocumentRefusal):
        return document
    try:
        signed = fields.mapping(document.payload, "order", _LABELS)
        if fields.integer(signed, _KIND, "kind", 0, 256) != ORDER_KIND:
            raise ValueError("not a revocation order")
        recovery = fields.octets(signed, _RECOVERY, "recovery key")
        if len(recovery) != 32:
            raise ValueError("the recovery key is not 32 bytes")
        return RevocationOrder(
            tenant=fields.text(signed, _TENANT, "tenant"),
            device=fields.text(signed, _DEVICE, "device"),
            reason=fields.text(signed, _REASON, "reason"),
            issued_at_s=fields.integer(signed, _ISSUED_AT, "issued at", 0, fields.TIME_END),
            recovery_key=recovery,
        )
    except (InputRefused, ValueError) as wrong:
        return DocumentRefusal(DocumentFault.CONTENT, str(wrong))
