"""The one place where the processes of a device meet: ``store.db``, in WAL, every commit on disk.

A ``Store`` is safe to share between threads (each gets its own connection), and its file between
processes. Changes are made in ``transaction()``, reads in ``read()``. ``edge.store.opening`` opens
or makes one.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from edge.system.disk_space import DISK_FULL, WHAT_TO_DO
from edge.system.durable_file import write_durably
from edge.values.errors import EdgeError

FILE = "store.db"
LOCK = "store.lock"  # held while the store is opened; its one byte counts quarantines
SUSPECT = "store.suspect"  # left by a process that met corruption: the next start checks every page
BUSY_TIMEOUT_S = 2.0
POLL_S = 0.001  # a transaction that waits for another looks this often whether it has ended
TURN_S = 0.005  # a process that gives way pauses this long between two of its own

# What ``sqlite3`` raises: MemoryError stands for SQLITE_NOMEM, and UnicodeDecodeError for a message
# that quotes what a damaged file has in the place of its schema.
FAILURES: Final = (sqlite3.Error, MemoryError, UnicodeDecodeError)

_IMPATIENT = "PRAGMA busy_timeout = 0"
_NO_TEXT = "Could not decode to UTF-8"  # sqlite3.OperationalError, of a text in a row
_CORRUPT = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_WORLD = (
    "SQLITE_AUTH",
    "SQLITE_BUSY",
    "SQLITE_CANTOPEN",
    "SQLITE_INTERRUPT",
    "SQLITE_IOERR",
    "SQLITE_LOCKED",
    "SQLITE_NOMEM",
    "SQLITE_PERM",
    "SQLITE_PROTOCOL",
    "SQLITE_READONLY",
)


class StoreUnavailableError(EdgeError):
    """The disk failed, not the program: full, read-only, locked too long, corrupt or replaced.

    The transaction that met it changed nothing. The message says which failure it was.
    """

    def __init__(self, message: str, *, corrupt: bool = False, replaced: bool = False) -> None:
        super().__init__(message)
        self.corrupt = corrupt
        self.needs_restart = corrupt or replaced  # a restart repairs it; waiting does not


def connect(
    path: Path,
    *,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    read_only: bool = False,
    make: bool = False,
) -> sqlite3.Connection:
    """Open ``path`` as every process must: WAL, FULL, foreign keys, autocommit, explicit BEGIN.

    Only with ``make`` may the file be missing or empty. Raises sqlite3.Error, MemoryError and
    StoreUnavailableError.
    """
    if not make:
        _refuse_empty(path)
    mode = "ro" if read_only else "rwc" if make else "rw"
    uri = f"file:{_quoted(path)}?mode={mode}"
    # Each connection serves one thread; only ``close`` comes from another, once that has ended.
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=busy_timeout_s, check_same_thread=False
    )
    try:
        if not read_only:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise StoreUnavailableError(f"{path} cannot have a log: its mode stays {mode}")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_empty(path: Path) -> None:
    """Raise StoreUnavailableError for an empty file: SQLite would delete the log beside it."""
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        raise StoreUnavailableError(f"the store cannot be used ({error})") from error
    if empty:
        raise StoreUnavailableError(
            f"{path} is empty, it is not a scanner's store: start edge-scanner once, then try again"
        )


def explain(error: BaseException) -> StoreUnavailableError | None:
    """Return the failure of the world that ``error`` reports; None for an error of the program."""
    if isinstance(error, MemoryError):  # what ``sqlite3`` raises for SQLITE_NOMEM
        return StoreUnavailableError("the store cannot be used (SQLITE_NOMEM: out of memory)")
    if isinstance(error, UnicodeDecodeError) or str(error).startswith(_NO_TEXT):
        return StoreUnavailableError(f"the store is corrupt ({error})", corrupt=True)
    code = getattr(error, "sqlite_errorname", "") or ""
    if code == "SQLITE_FULL":
        return StoreUnavailableError(f"{DISK_FULL}: nothing was written ({error}): {WHAT_TO_DO}")
    if code.startswith(_CORRUPT):
        return StoreUnavailableError(f"the store is corrupt ({code}: {error})", corrupt=True)
    if code.startswith(_WORLD):
        return StoreUnavailableError(f"the store cannot be used ({code}: {error})")
    return None


class Store:
    """The device's store."""

    def __init__(
        self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S, read_only: bool = False
    ) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._gives_way = False
        self._turn_s = 0.0  # monotonic; no transaction of a process that gives way begins before
        self._read_only = read_only
        self._own = threading.local()
        self._guard = threading.Lock()
        self._open: list[sqlite3.Connection] = []
        self._closed = False
        self._quarantines = None if read_only else quarantines(path.parent)
        self._generation = self._quarantines and self._quarantines[0]

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection, opened at first use. Raises StoreUnavailableError."""
        own: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if own is None:
            own = self._connect()
            self._own.connection = own
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        return own

    def transaction(self) -> Transaction:
        """Return a block for changes, which enters with the connection (BEGIN IMMEDIATE).

        They are on disk when the block ends, and rolled back when it raises. Raises
        StoreUnavailableError when the disk fails or the store is locked beyond the timeout.
        """
        return Transaction(self)

    def give_way(self) -> None:
        """Pause after each transaction from now on, so that a process that waits gets its turn.

        SQLite has no queue: a process that commits again and again would keep the others out.
        """
        self._gives_way = True

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give one consistent view to every query in the block. Raises StoreUnavailableError."""
        with self._translated(), self.patient() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def data_version(self) -> int:
        """Return ``PRAGMA data_version``, which changes when another connection commits."""
        with self._translated(), self.patient() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def checkpoint(self) -> None:
        """Move the WAL into the file as far as no reader is in the way; for idle moments."""
        with self._translated():
            self.connection().execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close every thread's connection. Safe to call twice."""
        with self._guard:
            self._closed = True
            for connection in self._open:
                connection.close()
            self._open.clear()

    def _connect(self) -> sqlite3.Connection:
        with self._guard, self._translated():
            if self._closed:
                raise StoreUnavailableError("the store is closed")
            connection = connect(
                self.path, busy_timeout_s=self._busy_timeout_s, read_only=self._read_only
            )
            self._open.append(connection)
            connection.execute(_IMPATIENT)
            return connection

    @contextmanager
    def patient(self) -> Iterator[sqlite3.Connection]:
        """Have SQLite wait for other processes in this block; ``begin`` waits by itself."""
        connection = self.connection()
        connection.execute(f"PRAGMA busy_timeout = {int(self._busy_timeout_s * 1000)}")
        try:
            yield connection
        finally:
            connection.execute(_IMPATIENT)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            self.translate(error)
            raise

    def translate(self, error: BaseException) -> None:
        """Raise the failure of the disk that ``error`` reports, if it does.

        Marks a corrupt store for the next start.
        """
        unavailable = explain(error)
        if unavailable is None:
            return
        if unavailable.corrupt and not self._read_only:
            _suspect(self.path.parent, str(unavailable))
        raise unavailable from error

    def begin(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction for changes; wait for the one of another process, up to a limit.

        SQLite's own waiting looks less and less often, and would miss the pause between two.
        """
        if self._gives_way:
            time.sleep(max(0.0, self._turn_s - time.monotonic()))
        until_s = 0.0
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                until_s = until_s or time.monotonic() + self._busy_timeout_s
                is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() >= until_s:
                    raise
            else:
                return
            time.sleep(POLL_S)

    def end(self) -> None:
        """Note the end of a transaction."""
        if self._gives_way:
            self._turn_s = time.monotonic() + TURN_S

    def refuse_replaced(self) -> None:
        """Raise StoreUnavailableError if the open file was quarantined: writes would be lost."""
        if self._quarantines is not None and self._quarantines[0] != self._generation:
            raise StoreUnavailableError(
                "the store was replaced by another process; start this one again", replaced=True
            )


class Transaction:
    """A block for changes. A class and no generator, because every scan has one."""

    __slots__ = ("_connection", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._store.refuse_replaced()
            self._connection = self._store.connection()
            self._store.begin(self._connection)
        except FAILURES as error:
            self._store.translate(error)
            raise
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            self._finish(error)
        finally:
            self._store.end()

    def _finish(self, error: BaseException | None) -> None:
        if error is None:
            try:
                self._connection.execute("COMMIT")
                self._store.refuse_replaced()
            except FAILURES as failure:
                self._rollback()
                self._store.translate(failure)
                raise
        else:
            self._rollback()
            self._store.translate(error)

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            with suppress(*FAILURES):  # the first error is the one to report
                self._connection.execute("ROLLBACK")


def quarantines(folder: Path) -> mmap.mmap:
    """Return the count of quarantines in ``folder``, a byte that every process sees change at once.

    Raises OSError, also on a full disk.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # A hole would get its block only when it is written to: SIGBUS on a full disk.
        os.posix_fallocate(descriptor, 0, 1)
        os.pread(descriptor, 1, 0)  # a disk that cannot be read fails here: in the map, by a signal
        return mmap.mmap(descriptor, 1)
    finally:
        os.close(descriptor)


def _suspect(folder: Path, why: str) -> None:
    """Have the next start check every page. A full disk takes no mark; the small tables remain."""
    mark = folder / SUSPECT
    with suppress(OSError):
        if not mark.exists():
            write_durably(mark, f"{why}\n".encode())


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
