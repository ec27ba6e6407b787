"""The status list: which tokens of a key are revoked (IETF Token Status List, 1 bit a token).

A snapshot names every revoked index; a delta carries a list from one version to the next.
Both are signed documents. Bit ``i`` is bit ``i % 8`` of byte ``i // 8``, least significant
first (draft-ietf-oauth-status-list, section 4.1); 0 is valid, 1 is revoked.
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
from edge.token.rejection import Refused, Rejection
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
_KID, _VERSION, _FROM, _REVOKED, _RESTORED = -65538, -65539, -65540, -65541, -65542
_COMMON: Final = frozenset({_EXP, _IAT, _KID, _VERSION})
_SNAPSHOT: Final = _COMMON | {_STATUS_LIST}
_DELTA: Final = _COMMON | {_FROM, _REVOKED, _RESTORED}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusList:
    """The state of every token of the issuer key ``kid``."""

    kid: bytes
    version: int  # persist the highest and hand it to ``open_status_list``
    issued_at_s: int  # Unix seconds
    expires_at_s: int  # Unix seconds, exclusive
    bits: bytes  # one bit a token

    def is_revoked(self, index: int) -> bool | None:
        """Whether the token with this index is revoked; None when the list does not reach that far."""
        if index // 8 >= len(self.bits):
            return None
        return bool(self.bits[index // 8] >> (index % 8) & 1)

    def is_stale(self, now: Instant, max_age_s: int | None) -> bool:
        """Whether the list has expired or is older than ``max_age_s``."""
        if now.unix_s >= self.expires_at_s:
            return True
        return max_age_s is not None and now.unix_s - self.issued_at_s > max_age_s


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusDelta:
    """What changed between two versions of a status list."""

    kid: bytes
    from_version: int
    version: int
    issued_at_s: int
    expires_at_s: int
    revoked: frozenset[int]
    restored: frozenset[int]


def status_list(
    *,
    kid: bytes,
    version: int,
    issued_at_s: int,
    expires_at_s: int,
    size: int,
    revoked: Iterable[int],
) -> StatusList:
    """Return a list of ``size`` tokens of which those in ``revoked`` are. Raises ValueError for an index beyond."""
    bits = _changed(bytes((size + 7) // 8), revoked, ())
    return StatusList(
        kid=kid, version=version, issued_at_s=issued_at_s, expires_at_s=expires_at_s, bits=bits
    )


def sign_status_list(status: StatusList, signer: Signer) -> bytes:
    """Return the snapshot as a signed document."""
    lst = zlib.compress(status.bits, 9)
    payload = {**_common(status), _STATUS_LIST: {"bits": 1, "lst": lst}}
    return sign_document(payload, Purpose.STATUS_LIST, signer)


def sign_status_delta(delta: StatusDelta, signer: Signer) -> bytes:
    """Return the delta as a signed document."""
    changes = {
        _FROM: delta.from_version,
        _REVOKED: sorted(delta.revoked),
        _RESTORED: sorted(delta.restored),
    }
    return sign_document({**_common(delta), **changes}, Purpose.STATUS_LIST, signer)


def open_status_list(
    data: bytes, *, keys: Keyring, now: Instant, highest_version: int = 0
) -> StatusList | DocumentRefusal:
    """Return the snapshot in ``data``, no older than ``highest_version``. An expired one is opened all the same."""
    opened = _open(data, keys, now, _SNAPSHOT)
    if isinstance(opened, DocumentRefusal):
        return opened
    try:
        bits = _inflated(fields.required(opened, _STATUS_LIST, "status list"))
        status = StatusList(**_read_common(opened), bits=bits)
    except Refused as refused:
        return DocumentRefusal(DocumentFault.CONTENT, str(refused))
    if status.version < highest_version:
        detail = f"version {status.version} is older than {highest_version}, which was seen before"
        return DocumentRefusal(DocumentFault.ROLLBACK, detail)
    return status


def open_status_delta(data: bytes, *, keys: Keyring, now: Instant) -> StatusDelta | DocumentRefusal:
    """Return the delta in ``data``."""
    opened = _open(data, keys, now, _DELTA)
    if isinstance(opened, DocumentRefusal):
        return opened
    try:
        return StatusDelta(
            **_read_common(opened),
            from_version=fields.integer(opened, _FROM, "from", 0, _VERSION_END),
            revoked=fields.integers(opened, _REVOKED, "revoked", 0, STATUS_INDEX_END),
            restored=fields.integers(opened, _RESTORED, "restored", 0, STATUS_INDEX_END),
        )
    except Refused as refused:
        return DocumentRefusal(DocumentFault.CONTENT, str(refused))


def apply_delta(status: StatusList, delta: StatusDelta) -> StatusList | DocumentRefusal:
    """Return ``status`` brought to the version of ``delta``; a gap or a rollback when it does not follow on."""
    if delta.kid != status.kid or delta.from_version > status.version:
        detail = f"a delta from {delta.from_version} does not follow on {status.version}: ask for a snapshot"
        return DocumentRefusal(DocumentFault.GAP, detail)
    if delta.from_version < status.version or delta.version <= status.version:
        return DocumentRefusal(
            DocumentFault.ROLLBACK, f"a delta to {delta.version}, but {status.version} is here"
        )
    try:
        bits = _changed(status.bits, delta.revoked, delta.restored)
    except ValueError as beyond:
        return DocumentRefusal(DocumentFault.CONTENT, str(beyond))
    return StatusList(
        kid=status.kid,
        version=delta.version,
        issued_at_s=delta.issued_at_s,
        expires_at_s=delta.expires_at_s,
        bits=bits,
    )


def _changed(bits: bytes, revoked: Iterable[int], restored: Iterable[int]) -> bytes:
    changed = bytearray(bits)
    for indices, mask in ((revoked, 1), (restored, 0)):
        for index in indices:
            if not 0 <= index < 8 * len(changed):
                raise ValueError(f"status index {index} is beyond the list")
            bit = 1 << (index % 8)
            changed[index // 8] = changed[index // 8] | bit if mask else changed[index // 8] & ~bit
    return bytes(changed)


def _common(status: StatusList | StatusDelta) -> dict[int, cbor.Item]:
    return {
        _IAT: status.issued_at_s,
        _EXP: status.expires_at_s,
        _KID: status.kid,
        _VERSION: status.version,
    }


def _open(
    data: bytes, keys: Keyring, now: Instant, labels: frozenset[int]
) -> dict[cbor.Item, cbor.Item] | DocumentRefusal:
    document = open_document(data, Purpose.STATUS_LIST, keys, now=now)
    if isinstance(document, DocumentRefusal):
        return document
    try:
        return fields.mapping(document.payload, "status list", labels)
    except Refused as refused:
        return DocumentRefusal(DocumentFault.CONTENT, str(refused))


def _read_common(opened: dict[cbor.Item, cbor.Item]) -> dict[str, cbor.Item]:
    kid = fields.octets(opened, _KID, "kid")
    if len(kid) != KID_LENGTH:
        raise Refused(Rejection.CLAIM_RANGE, f"kid is not {KID_LENGTH} bytes")
    issued_at_s = fields.integer(opened, _IAT, "iat", 0, fields.TIME_END)
    return {
        "kid": kid,
        "version": fields.integer(opened, _VERSION, "version", 1, _VERSION_END),
        "issued_at_s": issued_at_s,
        "expires_at_s": fields.integer(opened, _EXP, "exp", issued_at_s + 1, fields.TIME_END),
    }


def _inflated(item: cbor.Item) -> bytes:
    status = fields.mapping(item, "status_list", frozenset({"bits", "lst"}))
    fields.integer(status, "bits", "bits", 1, 2)
    inflater = zlib.decompressobj()
    try:
        bits = inflater.decompress(fields.octets(status, "lst", "lst"), STATUS_INDEX_END // 8)
    except zlib.error as error:
        raise Refused(Rejection.CLAIM_RANGE, f"lst: {error}") from None
    if not inflater.eof or inflater.unused_data:
        raise Refused(Rejection.CLAIM_RANGE, "lst is cut short, too long, or followed by more")
    return bits
