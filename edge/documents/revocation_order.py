"""The order to withdraw a device from its fleet, signed by operations. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.documents.document_type import DocumentType, octets, text, time
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.signed_document import DocumentRefusal, Keyring
from edge.values.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationOrder:
    """``device`` stops, wipes what it knows of people and seals the events it has not reported."""

    tenant: str
    device: str
    reason: str
    issued_at_s: int  # Unix seconds
    recovery_key: bytes  # X25519 public key, 32 bytes: the unsent events are sealed to it


_TYPE: Final = DocumentType(
    name="revocation order",
    purpose=Purpose.ENROLMENT,
    kind=2,
    content=RevocationOrder,
    fields=(
        text(2, "tenant"),
        text(3, "device"),
        text(4, "reason"),
        time(5, "issued_at_s"),
        octets(6, "recovery_key", length=32),
    ),
)


def sign_revocation_order(order: RevocationOrder, signer: Signer) -> bytes:
    """Return ``order`` signed."""
    return _TYPE.sign(order, signer)


def open_revocation_order(
    data: bytes, keys: Keyring, *, now: Instant
) -> RevocationOrder | DocumentRefusal:
    """Return the order in ``data`` once its signature holds. The caller compares its device."""
    return _TYPE.open(data, keys, now=now)


def has_order_form(data: bytes) -> bool:
    """Return whether ``data`` reads as an order, **unverified**, to choose its handler."""
    return not isinstance(_TYPE.read_unverified(data), DocumentRefusal)
