"""The operator lists in the store: kept when they are believed, and believed anew each time they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.documents.operator_list import OperatorEntry, OperatorList, open_operator_list
from edge.operators.sign_in_result import SignInResult
from edge.store import documents
from edge.store.database.store import Store
from edge.store.documents import StoreResult
from edge.store.sessions import end_session, session_in
from edge.token.signed_document import DocumentFault, DocumentRefusal, Keyring
from edge.values.instant import Instant

_PREFIX: Final = "operators/"


@dataclass(frozen=True, slots=True)
class OperatorDirectory:
    """The lists that hold at this device."""

    lists: tuple[OperatorList, ...]

    def find(self, operator_id: str, now: Instant) -> OperatorEntry | SignInResult:
        """Who may sign in under this name now, or why nobody may."""
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
    """The lists of this device's site and groups. Raises StoreUnavailableError."""
    opened = (
        open_operator_list(kept.raw, keys=keys, now=now) for kept in documents.under(store, _PREFIX)
    )
    return OperatorDirectory(
        tuple(
            item for item in opened if isinstance(item, OperatorList) and item.audience in audiences
        )
    )


def store_operator_list(
    store: Store, raw: bytes, *, keys: Keyring, audiences: frozenset[str], now: Instant
) -> OperatorList | DocumentRefusal | StoreResult:
    """Keep a list that is believed and for this device. Ends the session that it no longer supports.

    Returns the list when it is new, why it is not taken, or that it is here already or older than one that was seen.
    Raises StoreUnavailableError.
    """
    listed = open_operator_list(raw, keys=keys, now=now)
    if isinstance(listed, DocumentRefusal):
        return listed
    if listed.audience not in audiences:
        return DocumentRefusal(
            DocumentFault.CONTENT, f"a list for {listed.audience}, which is not this device's"
        )
    name = f"{_PREFIX}{listed.audience}"
    issued_s = listed.issued_at_s
    put = documents.put(
        store, name=name, version=listed.version, issued_at_s=issued_s, raw=raw, now=now
    )
    if put is not StoreResult.STORED:
        return put
    register = read_operator_directory(store, keys, audiences, now)
    with store.transaction() as connection:
        session = session_in(connection, now)
        if session is not None:
            entry = register.find(session.operator_id, now)
            if isinstance(entry, SignInResult) or entry.role is not session.role:
                end_session(connection)
    return listed
