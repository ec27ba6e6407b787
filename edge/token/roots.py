"""The roots: the keys that sign trust lists, and how they are replaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.token import cbor, cose, fields
from edge.token.keys import PublicKey, Signer, UnfitKeyError, from_cose_key, to_cose_key
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused
from edge.token.signed_document import DocumentFault, DocumentRefusal, open_document, sign_document
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant

IN_TRUST_LIST: Final = 5  # the label under which a trust list names its roots
_VERSION, _KEYS = 1, 2
_PURPOSES: Final = frozenset({Purpose.ROOT, Purpose.TRUST_LIST})


@dataclass(frozen=True, slots=True)
class Roots:
    """The root keys of one version, provisioned with the device."""

    version: int  # grows by one with each rotation
    keys: tuple[PublicKey, ...]

    def __post_init__(self) -> None:
        if len({key.kid for key in self.keys}) != len(self.keys):
            raise ValueError("two roots share a kid: make another key")

    def find(self, kid: bytes) -> TrustedKey | None:
        """Return the root with this identifier. Roots have no window: a rotation retires them."""
        for key in self.keys:
            if key.kid == kid:
                return TrustedKey(
                    key=key, purposes=_PURPOSES, not_before_s=0, expires_at_s=fields.TIME_END
                )
        return None

    def to_item(self) -> cbor.Item:
        """Return the roots as an item of CBOR."""
        return {_VERSION: self.version, _KEYS: [to_cose_key(key) for key in self.keys]}

    def to_bytes(self) -> bytes:
        """Return the content of a roots file. It is not signed: its writer is trusted."""
        return cbor.encode(self.to_item())


def read_roots(data: bytes) -> Roots | DocumentRefusal:
    """Return the roots of a roots file."""
    try:
        return _read(cbor.decode(data, cbor.DOCUMENT_LIMITS))
    except (InputRefused, ValueError) as wrong:
        return _refusal(wrong)


def claimed_roots(trust_list: bytes) -> Roots | DocumentRefusal:
    """Return the roots that an **unverified** trust list names.

    Good for finding damage without a roots file, never for trust: any list can name any roots.
    """
    try:
        listed = _unverified_payload(trust_list)
        return _read(listed.get(IN_TRUST_LIST) if isinstance(listed, dict) else None)
    except (InputRefused, ValueError) as wrong:
        return _refusal(wrong)


def sign_rotation(roots: Roots, old: Signer, new: Signer) -> bytes:
    """Return the document that replaces the roots by ``roots``.

    ``old`` signs with a key of the roots before, ``new`` with one of ``roots``.
    """
    inner = sign_document(roots.to_item(), Purpose.ROOT, new)
    return sign_document(inner, Purpose.ROOT, old)


def open_rotation(data: bytes, *, roots: Roots, now: Instant) -> Roots | DocumentRefusal:
    """Return the roots that follow ``roots``, one version up.

    A key of the old roots and one of the new have signed them.
    """
    outer = open_document(data, Purpose.ROOT, roots, now=now)
    if isinstance(outer, DocumentRefusal):
        return outer
    if type(outer.payload) is not bytes:
        return DocumentRefusal(
            DocumentFault.CONTENT, "a rotation holds a document signed by the new root"
        )
    try:
        # Trusted only once one of its own keys has signed it, below.
        successor = _read(_unverified_payload(outer.payload))
    except (InputRefused, ValueError) as wrong:
        return _refusal(wrong)
    inner = open_document(outer.payload, Purpose.ROOT, successor, now=now)
    if isinstance(inner, DocumentRefusal):
        return inner
    if successor.version <= roots.version:
        return DocumentRefusal(
            DocumentFault.ROLLBACK, f"roots {successor.version} are not newer than {roots.version}"
        )
    if successor.version != roots.version + 1:
        return DocumentRefusal(
            DocumentFault.GAP, f"roots {successor.version} do not follow on {roots.version}"
        )
    return successor


def _unverified_payload(document: bytes) -> cbor.Item:
    return cbor.decode(cose.parse(document, cose.STRICT).payload or b"", cbor.DOCUMENT_LIMITS)


def _read(item: cbor.Item) -> Roots:
    listed = fields.mapping(item, "roots", frozenset({_VERSION, _KEYS}))
    version = fields.integer(listed, _VERSION, "version", 1, 2**53)
    return Roots(version, tuple(from_cose_key(key) for key in fields.array(listed, _KEYS, "keys")))


def _refusal(wrong: InputRefused | ValueError) -> DocumentRefusal:
    if isinstance(wrong, InputRefused):
        return DocumentRefusal(DocumentFault.CONTENT, str(wrong))
    fault = (
        DocumentFault.UNFIT_KEY if isinstance(wrong, UnfitKeyError) else DocumentFault.KID_COLLISION
    )
    return DocumentRefusal(fault, str(wrong))
