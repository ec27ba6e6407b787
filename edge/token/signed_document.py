"""Signed documents of the platform for devices: each purpose with its own key and domain.

A document is a tagged COSE_Sign1 of the strict profile whose payload is deterministic CBOR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from edge.token import cbor, cose
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant

# Bytes of a document, signed: it fits into a message, even as base64 in a request.
LARGEST: Final = 704 * 1024


class DocumentFault(StrEnum):
    """Why a document was refused. One code a reason (law 8)."""

    MALFORMED = "document_malformed"
    KEY_UNKNOWN = "document_key_unknown"
    KEY_WINDOW = "document_key_window"
    KEY_PURPOSE = "document_key_purpose"
    ALG_MISMATCH = "document_alg_mismatch"
    SIGNATURE_INVALID = "document_signature_invalid"
    CONTENT = "document_content"  # signed, but not what its purpose says it must be
    KID_COLLISION = "document_kid_collision"
    UNFIT_KEY = "document_unfit_key"
    ROLLBACK = "document_rollback"  # older than what this device has seen
    GAP = "document_gap"  # does not follow on what this device has
    EXPIRED = "document_expired"


@dataclass(frozen=True, slots=True)
class DocumentRefusal:
    """A document that failed verification."""

    fault: DocumentFault
    detail: str  # for the log, in English

    def __str__(self) -> str:
        return f"{self.fault}: {self.detail}"


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A document whose signature held, for its purpose."""

    payload: cbor.Item
    key: TrustedKey  # that signed it


class Keyring(Protocol):
    """Where the keys that may sign documents are looked up: a ``TrustList``, or ``Roots``."""

    def find(self, kid: bytes) -> TrustedKey | None:
        """Return the key with this identifier."""
        ...


def sign_document(payload: cbor.Item, purpose: Purpose, signer: Signer) -> bytes:
    """Return ``payload`` signed for ``purpose``.

    Raises TypeError for what our CBOR excludes, ValueError where no device would read it.
    """
    signed = cose.sign(cbor.encode(payload), signer, external_aad=purpose.external_aad)
    if len(signed) > LARGEST:
        raise ValueError(f"the document is {len(signed)} bytes long, at most {LARGEST}")
    return signed


def open_document(
    data: bytes,
    purpose: Purpose,
    keys: Keyring,
    *,
    now: Instant,
    decode: Callable[[bytes, cbor.CborLimits], cbor.Item] = cbor.decode,
) -> SignedDocument | DocumentRefusal:
    """Return the payload of ``data`` if a valid key of ``keys`` signed it for ``purpose``."""
    verified = _verified(data, purpose, keys, now)
    if isinstance(verified, DocumentRefusal):
        return verified
    payload, key = verified
    try:
        return SignedDocument(decode(payload, cbor.DOCUMENT_LIMITS), key)
    except InputRefused as refused:
        return DocumentRefusal(DocumentFault.CONTENT, str(refused))


def signature_refusal(
    data: bytes, purpose: Purpose, keys: Keyring, *, now: Instant
) -> DocumentRefusal | None:
    """Return why the signature of ``data`` does not hold; None when it does. Reads no payload."""
    verified = _verified(data, purpose, keys, now)
    return verified if isinstance(verified, DocumentRefusal) else None


def _verified(
    data: bytes, purpose: Purpose, keys: Keyring, now: Instant
) -> tuple[bytes, TrustedKey] | DocumentRefusal:
    """Return the encoded payload of ``data`` and the key that signed it."""
    if len(data) > LARGEST:
        return DocumentRefusal(DocumentFault.MALFORMED, f"larger than {LARGEST} bytes")
    try:
        parts = cose.parse(data, cose.STRICT)
        headers = cose.protected_headers(parts, cose.STRICT)
    except InputRefused as refused:
        return DocumentRefusal(DocumentFault.MALFORMED, str(refused))
    kid = headers.get(cose.KID)
    key = keys.find(kid) if type(kid) is bytes else None
    if key is None:
        return DocumentRefusal(
            DocumentFault.KEY_UNKNOWN, "no trusted key has the kid of this document"
        )
    if fault := _key_fault(key, parts.protected, purpose, now):
        return fault
    assert parts.payload is not None  # the strict policy allows no detached payload
    prefix = cose.signed_prefix(parts.protected, purpose.external_aad)
    if not key.key.verifies(parts.signature, cose.signed_bytes(prefix, parts.payload)):
        return DocumentRefusal(
            DocumentFault.SIGNATURE_INVALID, f"not signed as {purpose} by {key.kid.hex()}"
        )
    return parts.payload, key


def _key_fault(
    key: TrustedKey, protected: bytes, purpose: Purpose, now: Instant
) -> DocumentRefusal | None:
    if protected != key.protected:
        return DocumentRefusal(
            DocumentFault.ALG_MISMATCH, f"the header is not the one of key {key.kid.hex()}"
        )
    if purpose not in key.purposes:
        return DocumentRefusal(
            DocumentFault.KEY_PURPOSE, f"key {key.kid.hex()} may not sign {purpose}"
        )
    if not key.in_window(now):
        return DocumentRefusal(
            DocumentFault.KEY_WINDOW, f"key {key.kid.hex()} is outside its window"
        )
    return None
