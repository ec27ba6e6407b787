"""The status list: which tokens of a key are revoked (IETF Token Status List, 1 bit a token).

It is a signed document and always whole. Bit ``i`` is bit ``i % 8`` of byte ``i // 8``, least
significant first (draft-ietf-oauth-status-list, section 4.1); 0 is valid, 1 is revoked.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edge.token import cbor, fields
from edge.token.claims_set import STATUS_INDEX_END
from edge.token.keys import KID_LENGTH, Signer
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused, Rejection
from edge.token.signed_document import (
    DocumentFault,
    DocumentRefusal,
    Keyring,
    open_document,
    sign_document,
)
from edge.values.instant import Instant

_VERSION_END: Final = 2**53
_EXP, _IAT, _STATUS_LIST = 4, 6, 65533  # CWT claims; 65533 is status_list
_KID, _VERSION = -65538, -65539
_LABELS: Final = frozenset({_EXP, _IAT, _STATUS_LIST, _KID, _VERSION})


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusList:
    """The state of every token of the issuer key ``kid``."""

    kid: bytes
    version: int  # persist the highest and hand it to ``open_status_list``
    issued_at_s: int  # Unix seconds
    expires_at_s: int  # Unix seconds, exclusive
    bits: bytes  # one bit a token

    def is_revoked(self, index: int) -> bool | None:
        """Return whether the token with this index is revoked; None beyond the list's end."""
        if index // 8 >= len(self.bits):
            return None
        return bool(self.bits[index // 8] >> (index % 8) & 1)

    def is_stale(self, now: Instant, max_age_s: int | None) -> bool:
        """Whether the list has expired or is older than ``max_age_s``."""
        if now.unix_s >= self.expires_at_s:
            return True
        return max_age_s is not None and now.unix_s - self.issued_at_s > max_age_s


def status_list(
    *,
    kid: bytes,
    version: int,
    issued_at_s: int,
    expires_at_s: int,
    size: int,
    revoked: Iterable[int],
) -> StatusList:
    """Return a list of ``size`` tokens with ``revoked`` set, or raise ValueError beyond."""
    bits = bytearray((size + 7) // 8)
    for index in revoked:
        if not 0 <= index < 8 * len(bits):
            raise ValueError(f"status index {index} is beyond the list")
        bits[index // 8] |= 1 << (index % 8)
    return StatusList(
        kid=kid,
        version=version,
        issued_at_s=issued_at_s,
        expires_at_s=expires_at_s,
        bits=bytes(bits),
    )


def sign_status_list(status: StatusList, signer: Signer) -> bytes:
    """Return the list as a signed document."""
    payload: dict[int, cbor.Item] = {
        _IAT: status.issued_at_s,
        _EXP: status.expires_at_s,
        _KID: status.kid,
        _VERSION: status.version,
        _STATUS_LIST: {"bits": 1, "lst": zlib.compress(status.bits, 9)},
    }
    return sign_document(payload, Purpose.STATUS_LIST, signer)


def open_status_list(
    data: bytes, *, keys: Keyring, now: Instant, highest_version: int = 0
) -> StatusList | DocumentRefusal:
    """Return the list in ``data``, no older than ``highest_version``, even if it has expired."""
    document = open_document(data, Purpose.STATUS_LIST, keys, now=now)
    if isinstance(document, DocumentRefusal):
        return document
    try:
        status = _read(fields.mapping(document.payload, "status list", _LABELS))
    except InputRefused as refused:
        return DocumentRefusal(DocumentFault.CONTENT, str(refused))
    if status.version < highest_version:
        detail = f"version {status.version} is older than {highest_version}, which was seen before"
        return DocumentRefusal(DocumentFault.ROLLBACK, detail)
    return status


def _read(payload: dict[cbor.Item, cbor.Item]) -> StatusList:
    kid = fields.octets(payload, _KID, "kid")
    if len(kid) != KID_LENGTH:
        raise InputRefused(Rejection.CLAIM_RANGE, f"kid is not {KID_LENGTH} bytes")
    issued_at_s = fields.integer(payload, _IAT, "iat", 0, fields.TIME_END)
    return StatusList(
        kid=kid,
        version=fields.integer(payload, _VERSION, "version", 1, _VERSION_END),
        issued_at_s=issued_at_s,
        expires_at_s=fields.integer(payload, _EXP, "exp", issued_at_s + 1, fields.TIME_END),
        bits=_inflated(fields.required(payload, _STATUS_LIST, "status list")),
    )


def _inflated(item: cbor.Item) -> bytes:
    status = fields.mapping(item, "status_list", frozenset({"bits", "lst"}))
    fields.integer(status, "bits", "bits", 1, 2)
    inflater = zlib.decompressobj()
    try:
        bits = inflater.decompress(fields.octets(status, "lst", "lst"), STATUS_INDEX_END // 8)
    except zlib.error as error:
        raise InputRefused(Rejection.CLAIM_RANGE, f"lst: {error}") from None
    if not inflater.eof or inflater.unused_data:
        raise InputRefused(Rejection.CLAIM_RANGE, "lst is cut short, too long, or followed by more")
    return bits
