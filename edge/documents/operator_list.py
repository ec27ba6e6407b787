"""The operator list: who may sign in, as what, with which PIN. A document that the platform signs.

Each list is for one site or device group, so that no device holds the hashes of people who never come to it.
A badge names only its operator; what that person may do stands here alone, and a new list changes it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.documents.pin_hash import hash_fault
from edge.domain.roles import Role
from edge.token import cbor, fields
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused, Rejection
from edge.token.signed_document import (
    DocumentFault,
    DocumentRefusal,
    Keyring,
    open_document,
    sign_document,
)
from edge.values.instant import ClockTrust, Instant

MOST_ENTRIES: Final = 5000
_VERSION_END: Final = 2**53
_VERSION, _ISSUED_AT, _EXPIRES_AT, _AUDIENCE, _ENTRIES = range(1, 6)
_LIST_LABELS: Final = frozenset(range(1, 6))
_ID, _ROLE, _PIN_HASH, _NOT_BEFORE, _ENTRY_EXPIRES_AT = range(1, 6)
_ENTRY_LABELS: Final = frozenset(range(1, 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorEntry:
    """One person of a list."""

    id: str  # the ``order`` of the badge
    role: Role
    pin_hash: str  # argon2id, in PHC form
    not_before_s: int  # Unix seconds, inclusive
    expires_at_s: int  # Unix seconds, exclusive

    def in_window(self, now: Instant) -> bool:
        """Whether it holds now. An untrusted clock can only prove that it has expired."""
        if now.unix_s >= self.expires_at_s:
            return False
        return now.trust is ClockTrust.FLOOR_ONLY or now.unix_s >= self.not_before_s


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorList:
    """Everybody who may sign in at a site or device group."""

    audience: str
    version: int
    issued_at_s: int
    expires_at_s: int  # Unix seconds, exclusive
    entries: tuple[OperatorEntry, ...]

    def find(self, operator_id: str) -> OperatorEntry | None:
        """The entry of this operator."""
        return next((entry for entry in self.entries if entry.id == operator_id), None)


def sign_operator_list(operators: OperatorList, signer: Signer) -> bytes:
    """Return the list as a signed document."""
    payload: cbor.Item = {
        _VERSION: operators.version,
        _ISSUED_AT: operators.issued_at_s,
        _EXPIRES_AT: operators.expires_at_s,
        _AUDIENCE: operators.audience,
        _ENTRIES: [
            {
                _ID: entry.id,
                _ROLE: entry.role.value,
                _PIN_HASH: entry.pin_hash,
                _NOT_BEFORE: entry.not_before_s,
                _ENTRY_EXPIRES_AT: entry.expires_at_s,
            }
            for entry in operators.entries
        ],
    }
    return sign_document(payload, Purpose.OPERATORS, signer)


def open_operator_list(
    data: bytes, *, keys: Keyring, now: Instant
) -> OperatorList | DocumentRefusal:
    """Return the list in ``data``, whose signature for this purpose holds. An expired one is opened all the same."""
    document = open_document(data, Purpose.OPERATORS, keys, now=now)
    if isinstance(document, DocumentRefusal):
        return document
    try:
        return _read(document.payload)
    except InputRefused as refused:
        return DocumentRefusal(DocumentFault.CONTENT, str(refused))


def _read(payload: cbor.Item) -> OperatorList:
    listed = fields.mapping(payload, "operator list", _LIST_LABELS)
    issued_at_s = fields.integer(listed, _ISSUED_AT, "issued at", 0, fields.TIME_END)
    items = fields.array(listed, _ENTRIES, "entries")
    entries = tuple(_entry(item) for item in items[: MOST_ENTRIES + 1])
    if len(items) > MOST_ENTRIES or len({entry.id for entry in entries}) != len(entries):
        raise InputRefused(
            Rejection.CLAIM_RANGE, f"more than {MOST_ENTRIES} entries, or an operator twice"
        )
    return OperatorList(
        audience=fields.text(listed, _AUDIENCE, "audience"),
        version=fields.integer(listed, _VERSION, "version", 1, _VERSION_END),
        issued_at_s=issued_at_s,
        expires_at_s=fields.integer(
            listed, _EXPIRES_AT, "expires", issued_at_s + 1, fields.TIME_END
        ),
        entries=entries,
    )


def _entry(item: cbor.Item) -> OperatorEntry:
    entry = fields.mapping(item, "operator", _ENTRY_LABELS)
    role, pin_hash = fields.text(entry, _ROLE, "role"), fields.text(entry, _PIN_HASH, "PIN hash")
    if role not in list(Role):
        raise InputRefused(Rejection.CLAIM_RANGE, f"role {role!r:.40} is not known")
    if fault := hash_fault(pin_hash):
        raise InputRefused(Rejection.CLAIM_RANGE, f"PIN hash: {fault}")
    not_before_s = fields.integer(entry, _NOT_BEFORE, "start", 0, fields.TIME_END)
    return OperatorEntry(
        id=fields.text(entry, _ID, "operator"),
        role=Role(role),
        pin_hash=pin_hash,
        not_before_s=not_before_s,
        expires_at_s=fields.integer(
            entry, _ENTRY_EXPIRES_AT, "end", not_before_s + 1, fields.TIME_END
        ),
    )
