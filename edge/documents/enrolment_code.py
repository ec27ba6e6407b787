"""The enrolment code: short-lived, single-use, signed by operations, scanned by a device. Pure.

``EN1:`` + Base45(COSE_Sign1 for the purpose ``enrolment``). A device that belongs to no fleet yet
cannot verify the signature. It pins what the code names (the certificate of the enrolment service,
the fleet's roots), and verifies the code itself once it has the roots. The enrolment service
verifies the code before it does anything, and accepts it once.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from edge.documents.document_type import DocumentType, integer, octets, text, texts, time
from edge.documents.settings import MOST_GROUPS
from edge.token import base45
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused
from edge.token.signed_document import DocumentFault, DocumentRefusal, Keyring
from edge.values.instant import Instant
from edge.values.node_name import device_name_fault, name_fault

PREFIX: Final = "EN1:"
LONGEST_TEXT: Final = 900  # characters: a QR code of version 20 or so
PIN_LENGTH: Final = 16  # bytes of a SHA-256: an attacker would need a second preimage


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentCode:
    """The permission to become one device of a fleet."""

    id: bytes  # 16 random bytes: what is used once
    tenant: str
    device: str
    site: str
    groups: tuple[str, ...] = ()
    host: str  # of the enrolment service
    port: int
    service_pin: bytes  # of the service's TLS certificate (DER)
    roots_pin: bytes  # of the fleet's roots file
    expires_at_s: int  # Unix seconds, exclusive
    serial: str = ""  # of the one board that may use it; empty: any


def _not_in_too_many_groups(code: EnrolmentCode) -> None:
    if len(code.groups) > MOST_GROUPS:
        raise ValueError(f"a device is in at most {MOST_GROUPS} groups")


_TYPE: Final = DocumentType(
    name="enrolment code",
    purpose=Purpose.ENROLMENT,
    kind=1,
    content=EnrolmentCode,
    fields=(
        octets(2, "id", length=PIN_LENGTH),
        text(3, "tenant"),
        text(4, "device"),
        text(5, "site"),
        texts(6, "groups", optional=True),
        text(7, "host"),
        integer(8, "port", 1, 65_536),
        octets(9, "service_pin", length=PIN_LENGTH),
        octets(10, "roots_pin", length=PIN_LENGTH),
        time(11, "expires_at_s"),
        text(12, "serial", optional=True),
    ),
    rule=_not_in_too_many_groups,
)


def name_fault_of(code: EnrolmentCode) -> str | None:
    """Return which name in ``code`` its device must not get; None for good names.

    Such a code would make a device that has the rights of another party.
    """
    return device_name_fault(code.device) or name_fault(code.tenant) or name_fault(code.site)


def pin_of(content: bytes) -> bytes:
    """Return the bytes by which a code names a certificate or a file."""
    return sha256(content).digest()[:PIN_LENGTH]


def sign_enrolment_code(code: EnrolmentCode, signer: Signer) -> str:
    """Return the text to put into a QR code. Raises ValueError for a name no device may have."""
    if fault := name_fault_of(code):
        raise ValueError(fault)
    return PREFIX + base45.encode(_TYPE.sign(code, signer)).decode()


def message_of(text: str) -> bytes | None:
    """Return the signed message in the text of a code; None for any other text."""
    if not text.startswith(PREFIX) or len(text) > LONGEST_TEXT:
        return None
    try:
        return base45.decode(text.removeprefix(PREFIX).encode("ascii"))
    except (InputRefused, ValueError):
        return None


def read_unverified(message: bytes) -> EnrolmentCode | None:
    """Return the code in ``message``, **unverified**; None if it cannot be read.

    For a device that has no roots yet, and to name a code in a log.
    """
    code = _TYPE.read_unverified(message)
    return None if isinstance(code, DocumentRefusal) else code


def open_enrolment_code(
    message: bytes, keys: Keyring, *, now: Instant
) -> EnrolmentCode | DocumentRefusal:
    """Return the code once its signature holds, its names are good and it has not expired."""
    code = _TYPE.open(message, keys, now=now)
    if isinstance(code, EnrolmentCode) and (fault := name_fault_of(code)):
        return DocumentRefusal(DocumentFault.CONTENT, fault)
    if isinstance(code, EnrolmentCode) and now.unix_s >= code.expires_at_s:
        return DocumentRefusal(
            DocumentFault.EXPIRED, f"the code expired at {code.expires_at_s}: print a new one"
        )
    return code
