"""The hub's store: what devices told, what they were refused, and the orders they are sent.

One SQLite file, or a PostgreSQL database that several hub processes share (``sync.hub.store.postgres``). Both
understand the same SQL: ``?`` and ``?1`` for values, ``ON CONFLICT`` for what may be there already.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from sync.hub.store.schema import SCHEMA

FILE = "hub.db"
LEAD_FILE = "hub.lead"
EVERYTHING: Final = None  # a transaction that concerns all there is

Concerns = frozenset[str] | None
Value = str | int | bytes | None


class HubStoreError(Exception):
    """The store cannot be used; the message says why and what to do."""


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All of them that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """One transaction, to say SQL in."""

    def execute(self, sql: str, values: Sequence[Value] = (), /) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, values: Iterable[Sequence[Value]], /) -> object:
        """Run one statement for each of ``values``."""


class HubStore(Protocol):
    """One connection. Every change happens in ``transaction`` and is on disk when it ends."""

    def transaction(self, concerning: Concerns = EVERYTHING) -> AbstractContextManager[Connection]:
        """Committed when the block ends, undone when it raises. Raises HubStoreError.

        No other transaction that concerns any of the same names (of devices, sites, entitlements) runs at the
        same time: what is read in it stays true until it ends.
        """

    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view."""

    def data_version(self) -> int:
        """A number that changes when another process has changed a feed."""

    def lead(self) -> bool:
        """True when this process is the one of all hubs that speaks to groups; it stays so until it ends."""

    def close(self) -> None:
        """Close the connection, and leave the lead to another."""


class SqliteHubStore:
    """``HubStore`` in one file. Its writers wait for each other, whatever they are concerned with."""

    def __init__(self, connection: sqlite3.Connection, lead_file: Path) -> None:
        self._connection = connection
        self._lead_file = lead_file
        self._lead: int | None = None

    @contextmanager
    def transaction(self, concerning: Concerns = EVERYTHING) -> Iterator[Connection]:
        """BEGIN IMMEDIATE."""
        del concerning
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._undo()
            raise HubStoreError(f"the hub's store cannot be written: {error}") from error
        except BaseException:
            self._undo()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """BEGIN, and undone."""
        self._connection.execute("BEGIN")
        try:
            yield self._connection
        finally:
            self._undo()

    def data_version(self) -> int:
        """SQLite's own: changes with any commit of another connection."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def lead(self) -> bool:
        """A lock on a file beside the store, which the system takes back when the process ends."""
        if self._lead is not None:
            return True
        number = os.open(self._lead_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(number)
            return False
        self._lead = number
        return True

    def close(self) -> None:
        """Close file and lock."""
        self._connection.close()
        if self._lead is not None:
            os.close(self._lead)
            self._lead = None

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def open_hub_store(folder: Path, database: str | None = None) -> HubStore:
    """Open or make ``folder/hub.db``, or the store in ``database``, a ``postgresql://`` URL. Raises HubStoreError."""
    if database is not None:
        from sync.hub.store.postgres import open_postgres

        return open_postgres(database)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(folder / FILE, isolation_level=None, timeout=5.0)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(SCHEMA)
        _upgrade(connection)
    except (OSError, sqlite3.Error) as error:
        raise HubStoreError(
            f"{folder / FILE} cannot be opened: {error}; check data_dir and its rights"
        ) from error
    return SqliteHubStore(connection, folder / LEAD_FILE)


def _upgrade(connection: sqlite3.Connection) -> None:
    from sync.hub.store_opening import upgrade  # which knows what the events say

    connection.execute("BEGIN IMMEDIATE")
    try:
        upgrade(
            connection,
            columns=lambda table: [
                row[1] for row in connection.execute(f"PRAGMA table_info({table})")
            ],
        )
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
