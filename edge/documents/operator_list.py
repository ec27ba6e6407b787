"""The operator list: who may sign in, in which role, with which PIN. Signed by the platform. Pure.

Each list is for one site or device group, so that no device holds the PIN hashes of people who
never work there. A badge names only its operator. The permissions of that person stand here alone,
and a new list changes them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.documents.document_type import DocumentField, DocumentType, integer, text, time
from edge.documents.pin_hash import hash_fault
from edge.domain.roles import Role
from edge.token import cbor, fields
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused, Rejection
from edge.token.signed_document import DocumentRefusal, Keyring
from edge.values.instant import ClockTrust, Instant

MOST_ENTRIES: Final = 5000
_VERSION_END: Final = 2**53
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
        """Return whether the entry holds now.

        A clock that is not trusted can only prove that it has expired.
        """
        if now.unix_s >= self.expires_at_s:
            return False
        return now.trust is ClockTrust.FLOOR_ONLY or now.unix_s >= self.not_before_s


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorList:
    """All operators who may sign in at a site or device group."""

    audience: str
    version: int
    issued_at_s: int
    expires_at_s: int  # Unix seconds, exclusive
    entries: tuple[OperatorEntry, ...]

    def find(self, operator_id: str) -> OperatorEntry | None:
        """Return the entry of this operator, or None."""
        return next((entry for entry in self.entries if entry.id == operator_id), None)


def _read_entries(
    listed: dict[cbor.Item, cbor.Item], label: int, name: str
) -> tuple[OperatorEntry, ...]:
    items = fields.array(listed, label, name)
    entries = tuple(_entry(item) for item in items[: MOST_ENTRIES + 1])
    if len(items) > MOST_ENTRIES or len({entry.id for entry in entries}) != len(entries):
        raise ValueError(f"more than {MOST_ENTRIES} entries, or an operator twice")
    return entries


def _write_entries(entries: tuple[OperatorEntry, ...]) -> cbor.Item:
    return [
        {
            _ID: entry.id,
            _ROLE: entry.role.value,
            _PIN_HASH: entry.pin_hash,
            _NOT_BEFORE: entry.not_before_s,
            _ENTRY_EXPIRES_AT: entry.expires_at_s,
        }
        for entry in entries
    ]


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


def _expires_after_issue(operators: OperatorList) -> None:
    if operators.expires_at_s <= operators.issued_at_s:
        raise ValueError("the list expires before it is issued")


_TYPE: Final = DocumentType(
    name="operator list",
    purpose=Purpose.OPERATORS,
    content=OperatorList,
    fields=(
        integer(1, "version", 1, _VERSION_END),
        time(2, "issued_at_s"),
        time(3, "expires_at_s"),
        text(4, "audience"),
        DocumentField(5, "entries", _read_entries, _write_entries),
    ),
    rule=_expires_after_issue,
)


def sign_operator_list(operators: OperatorList, signer: Signer) -> bytes:
    """Return the list as a signed document."""
    return _TYPE.sign(operators, signer)


def open_operator_list(
    data: bytes, *, keys: Keyring, now: Instant
) -> OperatorList | DocumentRefusal:
    """Return the list in ``data`` once its signature holds. An expired list is returned, too."""
    return _TYPE.open(data, keys, now=now)
