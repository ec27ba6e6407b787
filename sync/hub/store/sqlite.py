"""The hub's store in one SQLite file."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sync.hub.store.interface import (
    EVERYTHING,
    Concerns,
    HubConnection,
    HubStoreError,
    UnfitValueError,
    Value,
)
from sync.hub.store.migration import migrate, steps

FILE = "hub.db"
LEAD_FILE = "hub.lead"
# What sqlite3 raises for an integer of more than 64 bits, half of a surrogate pair, a sum of more
# than 64 bits in a STRICT table, and a text that is too long.
_UNFIT: Final = (OverflowError, UnicodeEncodeError, sqlite3.IntegrityError, sqlite3.DataError)


class SqliteHubStore:
    """``HubStore`` in one file. Its writers wait for each other, whatever they concern."""

    def __init__(self, connection: sqlite3.Connection, lead_file: Path) -> None:
        self._connection = connection
        self._portable = SqliteConnection(connection)
        self._lead_file = lead_file
        self._lead: int | None = None

    @contextmanager
    def transaction(self, concerning: Concerns = EVERYTHING) -> Iterator[HubConnection]:
        """Run BEGIN IMMEDIATE."""
        del concerning
        with write_transaction(self._connection, "the hub's store"):
            yield self._portable

    @contextmanager
    def read(self) -> Iterator[HubConnection]:
        """Run BEGIN, and ROLLBACK when the block ends."""
        with read_view(self._connection):
            yield self._portable

    def data_version(self) -> int:
        """Return SQLite's own number: it changes with any commit of another connection."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def lead(self) -> bool:
        """Lock a file beside the store; the system releases the lock when the process ends."""
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


class SqliteConnection:
    """``HubConnection`` over sqlite3, which understands the statements as they are."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.execute = connection.execute  # as it is: nothing comes between a statement and SQLite

    def executemany(self, sql: str, values: Iterable[Sequence[Value]], /) -> None:
        """Run one statement for each of ``values``."""
        self._connection.executemany(sql, values)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Run the block in a savepoint."""
        self._connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException as error:
            self._connection.execute("ROLLBACK TO part")
            self._connection.execute("RELEASE part")
            if isinstance(error, _UNFIT):
                raise UnfitValueError(str(error)) from error
            raise
        self._connection.execute("RELEASE part")

    def lock_conflict_numbers(self) -> None:
        """Do nothing: there is one writer at a time."""


def open_sqlite(folder: Path) -> SqliteHubStore:
    """Open or make ``folder/hub.db``. Raises HubStoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        make_file(folder / FILE, mode=0o600)
        connection = sqlite3.connect(folder / FILE, isolation_level=None, timeout=5.0)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        store = SqliteHubStore(connection, folder / LEAD_FILE)
        with store.transaction() as ours:
            migrate(ours, steps("sqlite"))
    except (OSError, sqlite3.Error) as error:
        raise HubStoreError(
            f"{folder / FILE} cannot be opened: {error}; check data_dir and its rights"
        ) from error
    return store


def make_file(path: Path, *, mode: int) -> None:
    """Make an empty file unless there is one, whatever the umask. Raises OSError.

    SQLite gives its other files the permissions of this one.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


@contextmanager
def write_transaction(connection: sqlite3.Connection, name: str) -> Iterator[None]:
    """Run BEGIN IMMEDIATE; commit when the block ends, undo when it raises.

    ``name`` stands for the store in the message. Raises HubStoreError and UnfitValueError.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        _undo(connection)
        raise HubStoreError(f"{name} cannot be written: {error}") from error
    except _UNFIT as error:
        _undo(connection)
        raise UnfitValueError(str(error)) from error
    except BaseException:
        _undo(connection)
        raise


@contextmanager
def read_view(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold one consistent view while the block runs."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        _undo(connection)


def _undo(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
