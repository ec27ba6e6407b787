"""The enrolment code: short-lived, single-use, signed by ops, scanned by a device with its own camera. Pure.

``EN1:`` + Base45(COSE_Sign1 for the purpose ``enrolment``). A device that belongs to no fleet yet cannot verify
the signature: it pins what the code names (the desk's certificate, the fleet's roots), and verifies the code
itself once it has the roots. The desk verifies it before it does anything, and takes it once.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from edge.token import base45, cbor, cose, fields
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

PREFIX: Final = "EN1:"
LONGEST_TEXT: Final = 900  # characters: a QR code of version 20 or so
PIN_LENGTH: Final = 16  # bytes of a SHA-256: a second preimage is what an attacker would need
_KIND, _ID, _TENANT, _DEVICE, _SITE, _GROUPS, _HOST, _PORT, _DESK, _ROOTS, _EXPIRES, _SERIAL = (
    range(1, 13)
)
_LABELS: Final = frozenset(range(1, 13))
CODE_KIND: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentCode:
    """Leave to become one device of a fleet."""

    id: bytes  # 16 random bytes: what is used once
    tenant: str
    device: str
    site: str
    groups: tuple[str, ...] = ()
    host: str  # of the enrolment desk
    port: int
    desk_pin: bytes  # of the desk's TLS certificate (DER)
    roots_pin: bytes  # of the fleet's roots file
    expires_at_s: int
    serial: str = ""  # of the one board that may use it; empty: any


def pin_of(content: bytes) -> bytes:
    """What a code names a certificate or a file by."""
    return sha256(content).digest()[:PIN_LENGTH]


def sign_enrolment_code(code: EnrolmentCode, signer: Signer) -> str:
    """Return the text to put into a QR code."""
    payload: dict[int, cbor.Item] = {
        _KIND: CODE_KIND,
        _ID: code.id,
        _TENANT: code.tenant,
        _DEVICE: code.device,
        _SITE: code.site,
        _HOST: code.host,
        _PORT: code.port,
        _DESK: code.desk_pin,
        _ROOTS: code.roots_pin,
        _EXPIRES: code.expires_at_s,
    }
    if code.groups:
        payload[_GROUPS] = list(code.groups)
    if code.serial:
        payload[_SERIAL] = code.serial
    return PREFIX + base45.encode(sign_document(payload, Purpose.ENROLMENT, signer)).decode()


def message_of(text: str) -> bytes | None:
    """The signed message in a code's text; None for any other text."""
    if not text.startswith(PREFIX) or len(text) > LONGEST_TEXT:
        return None
    try:
        return base45.decode(text.removeprefix(PREFIX).encode("ascii"))
    except (InputRefused, ValueError):
        return None


def peek(message: bytes) -> EnrolmentCode | None:
    """What ``message`` says, **unverified**: for a device that has no roots yet, and for naming a trace."""
    try:
        return _read(
            cbor.decode(cose.parse(message, cose.STRICT).payload or b"", cbor.DOCUMENT_LIMITS)
        )
    except (InputRefused, ValueError):
        return None


def open_enrolment_code(
    message: bytes, keys: Keyring, *, now: Instant
) -> EnrolmentCode | DocumentRefusal:
    """Return the code once its signature holds and it has not expired."""
    document = open_document(message, Purpose.ENROLMENT, keys, now=now)
    if isinstance(document, DocumentRefusal):
        return document
    try:
        code = _read(document.payload)
    except (InputRefused, ValueError) as wrong:
        return DocumentRefusal(DocumentFault.CONTENT, str(wrong))
    if now.unix_s >= code.expires_at_s:
        return DocumentRefusal(
            DocumentFault.EXPIRED, f"the code expired at {code.expires_at_s}: print a new one"
        )
    return code


def _read(payload: cbor.Item) -> EnrolmentCode:
    signed = fields.mapping(payload, "enrolment code", _LABELS)
    if fields.integer(signed, _KIND, "kind", 0, 256) != CODE_KIND:
        raise ValueError("not an enrolment code")
    pins = [fields.octets(signed, label, "pin") for label in (_ID, _DESK, _ROOTS)]
    if {len(pin) for pin in pins} != {PIN_LENGTH}:
        raise ValueError("an identity or a pin is not of 16 bytes")
    groups = fields.array(signed, _GROUPS, "groups") if _GROUPS in signed else []
    return EnrolmentCode(
        id=pins[0],
        tenant=fields.text(signed, _TENANT, "tenant"),
        device=fields.text(signed, _DEVICE, "device"),
        site=fields.text(signed, _SITE, "site"),
        groups=tuple(fields.text({0: group}, 0, "group") for group in groups),
        host=fields.text(signed, _HOST, "host"),
        port=fields.integer(signed, _PORT, "port", 1, 65_536),
        desk_pin=pins[1],
        roots_pin=pins[2],
        expires_at_s=fields.integer(signed, _EXPIRES, "expiry", 0, fields.TIME_END),
        serial=fields.text(signed, _SERIAL, "serial") if _SERIAL in signed else "",
    )
