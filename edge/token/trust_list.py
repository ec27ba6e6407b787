"""The trust list: which keys may sign what, signed by a root, after The Update Framework."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from edge.token import cbor, fields
from edge.token.claims import Kind
from edge.token.keys import Signer, UnfitKeyError, from_cose_key, to_cose_key
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused, Rejection
from edge.token.roots import IN_TRUST_LIST, Roots
from edge.token.signed_document import DocumentFault, DocumentRefusal, open_document, sign_document
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant

VERSION_END: Final = 2**53
_VERSION, _ISSUED_AT, _EXPIRES_AT, _KEYS = 1, 2, 3, 4
_LIST_LABELS: Final = frozenset({_VERSION, _ISSUED_AT, _EXPIRES_AT, _KEYS, IN_TRUST_LIST})
_KEY, _PURPOSE, _ALG, _NOT_BEFORE, _KEY_EXPIRES_AT, _ISSUERS, _AUDIENCES, _KINDS, _LARGEST = range(
    1, 10
)
_ENTRY_LABELS: Final = frozenset(range(1, 10))
_BY_ROOT: Final = {Purpose.ROOT, Purpose.TRUST_LIST}  # no key of a list may sign these


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustList:
    """The keys that a device trusts. Built once; its public keys are ready to verify.

    Raises ValueError when two keys share a kid, so that a kid always names one key.
    """

    version: int  # grows with each list; persist the highest and hand it to ``open_trust_list``
    issued_at_s: int  # Unix seconds
    expires_at_s: int  # Unix seconds, exclusive
    keys: tuple[TrustedKey, ...]
    _by_kid: dict[bytes, TrustedKey] = field(init=False, repr=False, compare=False)
    _by_header: dict[bytes, TrustedKey] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_kid = {key.kid: key for key in self.keys}
        if len(by_kid) != len(self.keys):
            raise ValueError("two keys of the trust list share a kid: make another key")
        object.__setattr__(self, "_by_kid", by_kid)
        object.__setattr__(self, "_by_header", {key.protected: key for key in self.keys})

    def find(self, kid: bytes) -> TrustedKey | None:
        """Return the key with this identifier."""
        return self._by_kid.get(kid)

    def find_by_header(self, protected: bytes) -> TrustedKey | None:
        """Return the key whose one permitted protected header this is."""
        return self._by_header.get(protected)

    def is_stale(self, now: Instant, max_age_s: int | None) -> bool:
        """Whether the list has expired or is older than ``max_age_s`` (freeze attack)."""
        if now.unix_s >= self.expires_at_s:
            return True
        return max_age_s is not None and now.unix_s - self.issued_at_s > max_age_s


def sign_trust_list(trust: TrustList, root: Signer, roots: Roots) -> bytes:
    """Return ``trust`` signed by ``root``, which must be one of ``roots``. Raises ValueError."""
    if roots.find(root.public.kid) is None:
        raise ValueError("the signing key is not one of the roots")
    payload = {
        _VERSION: trust.version,
        _ISSUED_AT: trust.issued_at_s,
        _EXPIRES_AT: trust.expires_at_s,
        _KEYS: [_entry(key) for key in trust.keys],
        IN_TRUST_LIST: roots.to_item(),
    }
    return sign_document(payload, Purpose.TRUST_LIST, root)


def open_trust_list(
    data: bytes, *, roots: Roots, now: Instant, highest_version: int = 0
) -> TrustList | DocumentRefusal:
    """Return the trust list in ``data``, signed by a root and no older than ``highest_version``.

    An expired list is opened all the same: tokens are then refused as ``trust_list_stale``,
    and a device that has nothing newer can say so.
    """
    document = open_document(data, Purpose.TRUST_LIST, roots, now=now)
    if isinstance(document, DocumentRefusal):
        return document
    try:
        trust = _read_list(document.payload)
    except InputRefused as refused:
        return DocumentRefusal(DocumentFault.CONTENT, str(refused))
    except UnfitKeyError as unfit:
        return DocumentRefusal(DocumentFault.UNFIT_KEY, str(unfit))
    except ValueError as collision:
        return DocumentRefusal(DocumentFault.KID_COLLISION, str(collision))
    if trust.version < highest_version:
        detail = f"version {trust.version} is older than {highest_version}, which was seen before"
        return DocumentRefusal(DocumentFault.ROLLBACK, detail)
    return trust


def _entry(trusted: TrustedKey) -> cbor.Item:
    (purpose,) = trusted.purposes
    entry: dict[int, cbor.Item] = {
        _KEY: to_cose_key(trusted.key),
        _PURPOSE: purpose,
        _ALG: trusted.key.algorithm,
        _NOT_BEFORE: trusted.not_before_s,
        _KEY_EXPIRES_AT: trusted.expires_at_s,
    }
    if trusted.audiences is not None:
        entry[_AUDIENCES] = sorted(trusted.audiences)
    if trusted.issuers:
        entry[_ISSUERS] = sorted(trusted.issuers)
    if purpose is Purpose.TOKEN:
        entry[_KINDS] = sorted(trusted.kinds)
        if trusted.largest_amount_minor is not None:
            entry[_LARGEST] = trusted.largest_amount_minor
    return entry


def _read_list(payload: cbor.Item) -> TrustList:
    listed = fields.mapping(payload, "trust list", _LIST_LABELS)
    issued_at_s = fields.integer(listed, _ISSUED_AT, "issued at", 0, fields.TIME_END)
    return TrustList(
        version=fields.integer(listed, _VERSION, "version", 1, VERSION_END),
        issued_at_s=issued_at_s,
        expires_at_s=fields.integer(
            listed, _EXPIRES_AT, "expiry", issued_at_s + 1, fields.TIME_END
        ),
        keys=tuple(
            _read_entry(entry)
            for entry in fields.array(listed, _KEYS, "keys")
            if not _is_of_later(entry)
        ),
    )


def _is_of_later(entry: cbor.Item) -> bool:
    """Return whether the purpose is unknown to this version: such a key signs nothing here.

    A list with keys for a new purpose must not cost a device its other keys.
    """
    return (
        isinstance(entry, dict)
        and type(purpose := entry.get(_PURPOSE)) is str
        and purpose not in set(Purpose)
    )


def _read_entry(item: cbor.Item) -> TrustedKey:
    entry = fields.mapping(item, "key entry", _ENTRY_LABELS)
    key = from_cose_key(fields.required(entry, _KEY, "key"))
    if fields.integer(entry, _ALG, "alg", -(2**16), 2**16) != key.algorithm:
        raise InputRefused(
            Rejection.ALG_MISMATCH, f"key {key.kid.hex()} is not of the algorithm of its entry"
        )
    not_before_s = fields.integer(entry, _NOT_BEFORE, "start", 0, fields.TIME_END)
    kinds = (
        fields.integers(entry, _KINDS, "kinds", min(Kind), max(Kind) + 1) if _KINDS in entry else ()
    )
    return TrustedKey(
        key=key,
        purposes=frozenset({_purpose(fields.text(entry, _PURPOSE, "purpose"))}),
        not_before_s=not_before_s,
        expires_at_s=fields.integer(
            entry, _KEY_EXPIRES_AT, "end", not_before_s + 1, fields.TIME_END
        ),
        issuers=fields.texts(entry, _ISSUERS, "issuers") if _ISSUERS in entry else frozenset(),
        audiences=fields.texts(entry, _AUDIENCES, "audiences") if _AUDIENCES in entry else None,
        kinds=frozenset(Kind(number) for number in kinds),
        largest_amount_minor=(
            fields.integer(entry, _LARGEST, "largest amount", 0, VERSION_END)
            if _LARGEST in entry
            else None
        ),
    )


def _purpose(text: str) -> Purpose:
    if text not in set(Purpose) - _BY_ROOT:
        raise InputRefused(
            Rejection.CLAIM_RANGE, f"a key of the list cannot have the purpose {text!r:.40}"
        )
    return Purpose(text)
