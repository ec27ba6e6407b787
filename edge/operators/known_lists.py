"""The operator lists in the store: verified before they are stored and each time they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.documents.operator_list import OperatorEntry, OperatorList, open_operator_list
from edge.operators.sign_in_result import SignInResult
from edge.store import documents
from edge.store.database.store import Store
from edge.store.documents import StoreResult
from edge.store.sessions import end_session, find_session
from edge.token.signed_document import DocumentFault, DocumentRefusal, Keyring
from edge.values.instant import Instant

_PREFIX: Final = "operators/"


@dataclass(frozen=True, slots=True)
class OperatorDirectory:
    """The operator lists that are valid at this device."""

    lists: tuple[OperatorList, ...]

    def find(self, operator_id: str, now: Instant) -> OperatorEntry | SignInResult:
        """Return the entry of an operator who may sign in now, or the reason why not."""
        if not self.lists:
            return SignInResult.OPERATOR_LIST_MISSING
        fresh = [listed for listed in self.lists if now.unix_s < listed.expires_at_s]
        if not fresh:
            return SignInResult.OPERATOR_LIST_STALE
        for listed in fresh:
            entry = listed.find(operator_id)
            if entry is not None and entry.in_window(now):
                return entry
        return SignInResult.OPERATOR_UNKNOWN


def read_operator_directory(
    store: Store, keys: Keyring, audiences: frozenset[str], now: Instant
) -> OperatorDirectory:
    """Return the lists of this device's site and groups. Raises StoreUnavailableError."""
    opened = (
        open_operator_list(stored.raw, keys=keys, now=now)
        for stored in documents.documents_named(store, _PREFIX)
    )
    return OperatorDirectory(
        tuple(
            item for item in opened if isinstance(item, OperatorList) and item.audience in audiences
        )
    )


def store_operator_list(
    store: Store, raw: bytes, *, keys: Keyring, audiences: frozenset[str], now: Instant
) -> OperatorList | DocumentRefusal | StoreResult:
    """Store a verified list for this device, and end a session that it no longer supports.

    Returns the list when it is new, why it is refused, or that it is stored already or older than
    one that was seen. Raises StoreUnavailableError.
    """
    listed = open_operator_list(raw, keys=keys, now=now)
    if isinstance(listed, DocumentRefusal):
        return listed
    if listed.audience not in audiences:
        return DocumentRefusal(
            DocumentFault.CONTENT, f"a list for {listed.audience}, not for this device"
        )
    stored = documents.put(
        store,
        name=f"{_PREFIX}{listed.audience}",
        version=listed.version,
        issued_at_s=listed.issued_at_s,
        raw=raw,
        now=now,
    )
    if stored is not StoreResult.STORED:
        return stored
    directory = read_operator_directory(store, keys, audiences, now)
    with store.transaction() as connection:
        session = find_session(connection, now)
        if session is not None:
            entry = directory.find(session.operator_id, now)
            if isinstance(entry, SignInResult) or entry.role is not session.role:
                end_session(connection)
    return listed
