"""The order to lower a wrong time floor, signed by operations for one device. Pure.

On a device that once took a wrong time, far ahead, everything has expired: no list, badge or
certificate is valid there. The order is therefore verified by its own time of signing, with a key
that was valid then. It applies only while the device's floor is at least ``wrong_s``, and a device
takes only an order that is newer than the last one it took.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.documents.document_type import DocumentType, text, time
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.signed_document import DocumentFault, DocumentRefusal, Keyring
from edge.values.instant import ClockTrust, Instant

_ANY_TIME: Final = Instant(unix_s=0, trust=ClockTrust.FLOOR_ONLY)  # within the window of every key


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockResetOrder:
    """``device`` lowers its time floor from ``wrong_s`` or later to ``issued_at_s``."""

    tenant: str  # two tenants may have a device of one name, and one key folder
    device: str
    wrong_s: int  # Unix seconds, after issued_at_s
    reason: str
    issued_at_s: int  # Unix seconds


def _lowers_the_floor(order: ClockResetOrder) -> None:
    if order.wrong_s <= order.issued_at_s:
        raise ValueError("the wrong floor is not after the time of signing")


_TYPE: Final = DocumentType(
    name="clock reset order",
    purpose=Purpose.ENROLMENT,
    kind=3,
    content=ClockResetOrder,
    fields=(
        text(2, "device"),
        time(3, "wrong_s"),
        text(4, "reason"),
        time(5, "issued_at_s"),
        text(6, "tenant"),
    ),
    rule=_lowers_the_floor,
)


def sign_clock_reset_order(order: ClockResetOrder, signer: Signer) -> bytes:
    """Return ``order`` signed."""
    return _TYPE.sign(order, signer)


def open_clock_reset_order(data: bytes, keys: Keyring) -> ClockResetOrder | DocumentRefusal:
    """Return the order in ``data`` if a key that was valid when it was signed signed it."""
    opened = _TYPE.open_with_key(data, keys, now=_ANY_TIME)
    if isinstance(opened, DocumentRefusal):
        return opened
    order, key = opened
    if not key.in_window(Instant(unix_s=order.issued_at_s)):
        return DocumentRefusal(
            DocumentFault.KEY_WINDOW, f"key {key.kid.hex()} was not valid when it was signed"
        )
    return order
