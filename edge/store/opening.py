"""Open the store, or put a broken one aside and begin a new one: the device always boots (law 6).

A quarantined store keeps every file it had, renamed. The redemptions in its ledger are carried into
the new one where they can still be read, so that a code is still redeemed only once (law 3).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.store.database.migration import NewerSchemaError, is_current, lacks_tables, migrate
from edge.store.database.salvage import SalvagedRows, carry_over, read_remains
from edge.store.database.store import (
    BUSY_TIMEOUT_S,
    FILE,
    LOCK,
    SUSPECT,
    Store,
    StoreUnavailableError,
    connect,
    explain,
    quarantines,
)
from edge.store.epochs import begin_epoch
from edge.store.exception_cases import raise_case

_SUFFIXES = ("", "-wal", "-shm")
_CHECKED = (
    "device",
    "epoch",
    "outbox",
    "ledger",
    "intent",
    "exception",
    "pin_attempt",
)  # small, and what must not be wrong


class StoreState(StrEnum):
    """The state in which the store was found. Health and the screen show it."""

    READY = "ready"
    NEW = "new"  # there was none: first start of this card
    QUARANTINED = "quarantined"  # degraded: a broken one was put aside; the orders are loaded again
    UNAVAILABLE = "store_unavailable"  # nothing can be redeemed


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedStore:
    """The result of opening a store."""

    store: Store | None  # None exactly when ``state`` is UNAVAILABLE
    state: StoreState
    detail: str  # why, and what to do
    quarantined: Path | None = None  # where the broken one's main file is now


def open_store(
    folder: Path,
    *,
    device_id: str,
    now_s: int,
    random_bytes: Callable[[int], bytes],
    floor_s: int = 0,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> OpenedStore:
    """Open or make ``folder/store.db``. Never raises for anything that the disk may hold.

    ``floor_s`` is the build time, the least that the time floor may be. A store that is corrupt,
    unreadable or written by a newer program is renamed to ``store.db.<time>.<why>``, with its
    ``-wal`` and ``-shm``. So is another device's store that has no redemption and nothing to send.
    One that has stays where it is, and the result is UNAVAILABLE.
    """
    start = _Start(folder / FILE, device_id, now_s, random_bytes, floor_s, busy_timeout_s)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            return start.open()
    except (OSError, sqlite3.Error, StoreUnavailableError) as error:
        return OpenedStore(store=None, state=StoreState.UNAVAILABLE, detail=f"{folder}: {error}")


def open_for_reading(folder: Path) -> Store:
    """Open an existing store to read it. Raises StoreUnavailableError, which says what to do."""
    return _open_existing(folder, read_only=True)


def open_for_work(folder: Path) -> Store:
    """Open an existing store to write to it beside the scanner.

    Raises StoreUnavailableError, which says what to do.
    """
    store = _open_existing(folder, read_only=False)
    if not is_current(store.connection()):
        store.close()
        raise StoreUnavailableError(
            "the store is of another version: start edge-scanner once, then try again"
        )
    return store


def _open_existing(folder: Path, *, read_only: bool) -> Store:
    path = folder / FILE
    if not path.exists():
        raise StoreUnavailableError(
            f"no store in {folder}; name the data folder with --data or EDGE_SCANNER_DATA"
        )
    if not os.access(path, os.R_OK if read_only else os.R_OK | os.W_OK):
        need = "readable" if read_only else "writable"
        raise StoreUnavailableError(
            f"{path} is not {need} by this user; use the scanner's user or root"
        )
    try:
        store = Store(path, read_only=read_only)
    except OSError as error:  # a full disk
        raise StoreUnavailableError(f"{folder}: {error}") from error
    try:
        with store.read() as connection:
            connection.execute("SELECT device_id FROM device").fetchone()
            older = lacks_tables(connection)
    except sqlite3.Error as error:  # an empty file, or another program's database
        store.close()
        raise StoreUnavailableError(f"{path} is not a scanner's store ({error})") from error
    if older:
        store.close()
        raise StoreUnavailableError(
            f"{path} is of an older version: start edge-scanner once, then try again"
        )
    return store


@dataclass(frozen=True, slots=True)
class _Start:
    path: Path
    device_id: str
    now_s: int
    random_bytes: Callable[[int], bytes]
    floor_s: int
    busy_timeout_s: float

    def open(self) -> OpenedStore:
        if not self.path.exists() and not self._finish_interrupted():
            self._supersede()
            self._make("new", SalvagedRows())
            self._quarantine(
                "remnant"
            )  # a -wal without its store would be replayed into the new one
            self._put_in_place()
            return OpenedStore(
                store=self._store(), state=StoreState.NEW, detail="a new store was made"
            )
        why = self._fault()
        if why is None:
            return OpenedStore(store=self._store(), state=StoreState.READY, detail="")
        self._supersede()
        kept = self._make(f"quarantined: {why.detail}", read_remains(self.path))
        aside = self._quarantine(why.name)
        self._put_in_place()
        detail = (
            f"{why.detail}; its files are kept as {aside.name}*,"
            f" {kept} redemptions were carried over"
        )
        return OpenedStore(
            store=self._store(), state=StoreState.QUARANTINED, detail=detail, quarantined=aside
        )

    def _store(self) -> Store:
        store = Store(self.path, busy_timeout_s=self.busy_timeout_s)
        with store.transaction() as connection:
            connection.execute(
                "UPDATE device SET time_floor_s = max(time_floor_s, ?)", (self.floor_s,)
            )
        return store

    def _fault(self) -> _Fault | None:
        """Return what is wrong with the store that is there, or None.

        Raises StoreUnavailableError when that cannot be found out now.
        """
        try:
            with closing(connect(self.path, busy_timeout_s=self.busy_timeout_s)) as connection:
                migrate(connection)
                return self._fault_in(connection)
        except NewerSchemaError as error:
            return _Fault("newer", f"the store was {error}")
        except sqlite3.Error as error:
            unavailable = explain(error)
            unreadable = (getattr(error, "sqlite_errorname", "") or "").startswith(
                ("SQLITE_CANTOPEN", "SQLITE_IOERR")
            )
            if unavailable is None or unavailable.corrupt or unreadable:
                return _Fault("corrupt", f"the store cannot be read ({error})")
            raise unavailable from error

    def _fault_in(self, connection: sqlite3.Connection) -> _Fault | None:
        suspect = self.path.with_name(SUSPECT)
        tables = ("",) if suspect.exists() else tuple(f"({name})" for name in _CHECKED)
        for table in tables:
            (verdict,) = connection.execute(f"PRAGMA quick_check{table}").fetchone()
            if verdict != "ok":
                return _Fault("corrupt", f"the store is damaged ({verdict})")
        suspect.unlink(missing_ok=True)
        row = connection.execute("SELECT device_id FROM device").fetchone()
        if row is None:
            return _Fault("corrupt", "the store names no device")
        return None if row[0] == self.device_id else self._of_another(connection, row[0])

    def _of_another(self, connection: sqlite3.Connection, owner: str) -> _Fault:
        """Return the fault of a store of device ``owner`` that holds nothing of value.

        Raises StoreUnavailableError for one with redemptions or unsent events: a wrong profile must
        not make this folder forget them.
        """
        (used,) = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM ledger) OR EXISTS"
            " (SELECT 1 FROM outbox JOIN epoch ON no = epoch_no WHERE seq > acknowledged_through)"
        ).fetchone()
        if used:
            raise StoreUnavailableError(
                f"the store is of device {owner}, this is {self.device_id}: start with the profile"
                f" or the identity of {owner}, or move {self.path.name}* out of this folder and"
                " keep them"
            )
        return _Fault("device", f"the store is of device {owner}, this is {self.device_id}")

    def _making(self) -> Path:
        return self.path.with_name(f"{self.path.name}.new")

    def _make(self, why: str, remains: SalvagedRows) -> int:
        """Make a whole store with a new epoch beside the old one.

        Returns how many redemptions were carried over.
        """
        for suffix in _SUFFIXES:
            self._making().with_name(self._making().name + suffix).unlink(missing_ok=True)
        with closing(connect(self._making())) as connection:
            migrate(connection)
            connection.execute("BEGIN IMMEDIATE")
            kept = carry_over(connection, remains)
            number = begin_epoch(
                connection, why=why, now_s=self.now_s, random_bytes=self.random_bytes
            )
            row = (
                self.device_id,
                number,
                max(self.floor_s, remains.floor_s),
                remains.floor_order_s,
            )
            columns = "one, device_id, epoch_no, time_floor_s, floor_order_s"
            connection.execute(f"INSERT INTO device ({columns}) VALUES (1, ?, ?, ?, ?)", row)
            if why != "new":
                case = ExceptionCase(
                    kind=ExceptionKind.SYSTEM_FAULT,
                    cause=why,
                    tried="a new store was begun",
                    raised_s=self.now_s,
                )
                raise_case(connection, case)
            connection.execute("COMMIT")
        return kept

    def _supersede(self) -> None:
        """Make every process stop committing to the old file, so that all it has can be read."""
        with quarantines(self.path.parent) as count:
            count[0] = (count[0] + 1) % 256

    def _quarantine(self, name: str) -> Path:
        aside = self.path.with_name(f"{self.path.name}.{self.now_s}.{name}")
        while aside.exists():
            aside = aside.with_name(f"{aside.name}+")
        for (
            suffix
        ) in _SUFFIXES:  # the main file first: from here on a new start takes the new store
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        self.path.with_name(SUSPECT).unlink(missing_ok=True)
        return aside

    def _put_in_place(self) -> None:
        self._making().rename(self.path)
        _sync_folder(self.path.parent)

    def _finish_interrupted(self) -> bool:
        """Put in place the whole store that a power cut left beside a quarantined one.

        Returns False when there is none.
        """
        if not self._making().exists():
            return False
        try:
            with closing(connect(self._making())) as connection:
                whole = bool(connection.execute("SELECT count(*) FROM device").fetchone()[0])
        except sqlite3.Error:
            whole = False
        if whole:
            self._supersede()
            self._quarantine("remnant")
            self._put_in_place()
        return whole


@dataclass(frozen=True, slots=True)
class _Fault:
    name: str  # part of the quarantined file's name
    detail: str


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time open the store: two must not both put it aside."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
