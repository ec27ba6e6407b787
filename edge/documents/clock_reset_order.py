"""The order to give up a time floor that is wrong: signed by ops, for one device. Pure.

A device that once took a wrong, far time finds everything expired: no list, no badge and no certificate helps it.
So this order is judged by its own time of signing, by a key that was good then. It holds only while the device's
floor is at least ``wrong_s``, and a device takes none that is not newer than the last that it took.
"""

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
from edge.values.instant import ClockTrust, Instant

FLOOR_KIND: Final = 3
_KIND, _DEVICE, _WRONG, _REASON, _ISSUED_AT, _TENANT = range(1, 7)
_LABELS: Final = frozenset(range(1, 7))
_NO_TIME: Final = Instant(
    unix_s=0, trust=ClockTrust.FLOOR_ONLY
)  # by which no key is outside its window


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockResetOrder:
    """``device`` is to hold its clock to ``issued_at_s`` from now on, instead of to a floor of ``wrong_s`` or later."""

    tenant: str  # two tenants may have a device of one name, and one key folder
    device: str
    wrong_s: int  # Unix seconds, after issued_at_s
    reason: str
    issued_at_s: int


def sign_clock_reset_order(order: ClockResetOrder, signer: Signer) -> bytes:
    """Return ``order`` signed."""
    payload: dict[int, cbor.Item] = {
        _KIND: FLOOR_KIND,
        _DEVICE: order.device,
        _WRONG: order.wrong_s,
        _REASON: order.reason,
        _ISSUED_AT: order.issued_at_s,
        _TENANT: order.tenant,
    }
    return sign_document(payload, Purpose.ENROLMENT, signer)


def open_clock_reset_order(data: bytes, keys: Keyring) -> ClockResetOrder | DocumentRefusal:
    """Return the order in ``data`` once its signature holds, by a key that was good when it was signed."""
    document = open_document(data, Purpose.ENROLMENT, keys, now=_NO_TIME)
    if isinstance(document, DocumentRefusal):
        return document
    try:
        order = _read(fields.mapping(document.payload, "order", _LABELS))
    except (InputRefused, ValueError) as wrong:
        return DocumentRefusal(DocumentFault.CONTENT, str(wrong))
    key = keys.find(document.kid)
    if key is None or not key.in_window(Instant(unix_s=order.issued_at_s)):
        return DocumentRefusal(
            DocumentFault.KEY_WINDOW, f"key {document.kid.hex()} was not good when it was signed"
        )
    return order


def _read(signed: dict[cbor.Item, cbor.Item]) -> ClockResetOrder:
    if fields.integer(signed, _KIND, "kind", 0, 256) != FLOOR_KIND:
        raise ValueError("not an order about the time floor")
    issued_at_s = fields.integer(signed, _ISSUED_AT, "issued at", 0, fields.TIME_END)
    return ClockResetOrder(
        tenant=fields.text(signed, _TENANT, "tenant"),
        device=fields.text(signed, _DEVICE, "device"),
        wrong_s=fields.integer(signed, _WRONG, "wrong floor", issued_at_s + 1, fields.TIME_END),
        reason=fields.text(signed, _REASON, "reason"),
        issued_at_s=issued_at_s,
    )
