"""Open the store, or put a broken one aside and begin a new one: the device always boots (law 6).

A store that cannot be read *now* stays where it is, and is tried again: only one that is broken for
good, or that a newer program wrote, is put aside. It keeps every file it had, renamed. What it
holds is carried into the new one, so that a code is still redeemed only once (law 3).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from edge.store.database.examination import FaultKind, StoreFault, find_fault
from edge.store.database.migration import is_current, lacks_tables
from edge.store.database.store import (
    BUSY_TIMEOUT_S,
    FAILURES,
    FILE,
    LOCK,
    Store,
    StoreUnavailableError,
    connect,
    explain,
    quarantines,
)
from edge.store.database.store_files import REMNANT, StoreFiles
from edge.store.making import NewDevice, is_whole, make_store
from edge.store.salvage.page_images import lost_commits
from edge.store.salvage.remains import read_remains

_LOOK_EVERY_S: Final = 0.02  # at the lock of another process that opens the store


class StoreState(StrEnum):
    """The state in which the store was found. Health and the screen show it."""

    READY = "ready"
    NEW = "new"  # there was none: first start of this card
    QUARANTINED = "quarantined"  # degraded: a broken one was put aside; the orders are loaded again
    UNAVAILABLE = "store_unavailable"  # nothing can be redeemed; the next try may find it ready


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

    ``floor_s`` is the build time, the least that the time floor may be. A store that two
    connections find corrupt, or that a newer program wrote, is renamed to
    ``store.db.<time>.<why>``, with its ``-wal`` and ``-shm``. So is another device's store that has
    no redemption and nothing to send.

    Everything else leaves the files as they are, and the result is UNAVAILABLE: another device's
    store, and a disk, a folder, a memory or a lock that fails now. Call again then.
    """
    device = NewDevice(device_id, now_s, random_bytes, floor_s)
    start = _Start(StoreFiles(folder), device, busy_timeout_s)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, busy_timeout_s):
            return start.open()
    except (OSError, *FAILURES, StoreUnavailableError) as error:
        detail = f"{folder}: {explain(error) or error}"
        return OpenedStore(store=None, state=StoreState.UNAVAILABLE, detail=detail)


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
    try:
        path.stat()
        if not os.access(path, os.R_OK if read_only else os.R_OK | os.W_OK):
            need = "readable" if read_only else "writable"
            raise StoreUnavailableError(
                f"{path} is not {need} by this user; use the scanner's user or root"
            )
        store = Store(path, read_only=read_only)
    except FileNotFoundError as error:
        raise StoreUnavailableError(
            f"no store in {folder}; name the data folder with --data or EDGE_SCANNER_DATA"
        ) from error
    except OSError as error:  # a full disk, or one that cannot be read
        raise StoreUnavailableError(f"{folder}: {error}") from error
    try:
        _refuse_older(store)
    except BaseException:
        store.close()
        raise
    return store


def _refuse_older(store: Store) -> None:
    """Raise StoreUnavailableError for a store without this program's tables."""
    try:
        with store.read() as connection:
            connection.execute("SELECT device_id FROM device").fetchone()
            older = lacks_tables(connection)
    except sqlite3.Error as error:  # another program's database
        raise StoreUnavailableError(f"{store.path} is not a scanner's store ({error})") from error
    if older:
        raise StoreUnavailableError(
            f"{store.path} is of an older version: start edge-scanner once, then try again"
        )


@dataclass(frozen=True, slots=True)
class _Start:
    """One opening. Raises OSError, StoreUnavailableError and what ``sqlite3`` raises."""

    files: StoreFiles
    device: NewDevice
    busy_timeout_s: float

    def open(self) -> OpenedStore:
        files = self.files
        if files.is_missing() and not self._finish_interrupted() and not files.has_log():
            return self._begin()
        if files.is_bare_log():
            files.lay_page_under_log()
        fault = self._fault()
        if fault is not None:
            return self._replace(fault)
        files.suspect.unlink(missing_ok=True)
        files.remove_making()
        return OpenedStore(store=self._store(), state=StoreState.READY, detail="")

    def _fault(self) -> StoreFault | None:
        main = self.files.main
        if self.files.is_a_database(main) and lost_commits(main):  # before SQLite forgets them
            return StoreFault(FaultKind.CORRUPT, "the store's log is damaged in its middle")
        return find_fault(self.files, self.device.device_id, busy_timeout_s=self.busy_timeout_s)

    def _begin(self) -> OpenedStore:
        """Make the first store of this folder, or one for a store that is no longer there."""
        self._supersede()
        files, before = self.files, self._own_aside()
        why = "quarantined: the store is missing" if before else "new"
        with closing(read_remains(None, before)) as remains:
            carried = make_store(files, self.device, why=why, remains=remains)
        files.put_aside(REMNANT, self.device.now_s)
        files.put_in_place()
        if not before:
            return OpenedStore(
                store=self._store(), state=StoreState.NEW, detail="a new store was made"
            )
        detail = (
            f"the store is missing; {carried.redemptions} redemptions were carried over from those"
            " that were put aside before"
        )
        return OpenedStore(store=self._store(), state=StoreState.QUARANTINED, detail=detail)

    def _replace(self, fault: StoreFault) -> OpenedStore:
        """Put the store aside, after all that can be read of it is in a new one."""
        self._supersede()
        files = self.files
        main = files.main if files.is_a_database(files.main) else None
        before = self._own_aside() if fault.kind is FaultKind.CORRUPT else []
        why = f"quarantined: {fault.detail}"
        with closing(read_remains(main, before)) as remains:
            carried = make_store(files, self.device, why=why, remains=remains)
        aside = files.put_aside(fault.kind.value, self.device.now_s)
        files.put_in_place()
        detail = (
            f"{fault.detail}; its files are kept as {aside.name}*,"
            f" {carried.redemptions} redemptions and {carried.events} events were carried over"
        )
        return OpenedStore(
            store=self._store(), state=StoreState.QUARANTINED, detail=detail, quarantined=aside
        )

    def _store(self) -> Store:
        store = Store(self.files.main, busy_timeout_s=self.busy_timeout_s)
        try:
            with store.transaction() as connection:
                connection.execute(
                    "UPDATE device SET time_floor_s = max(time_floor_s, ?)", (self.device.floor_s,)
                )
        except BaseException:
            store.close()
            raise
        return store

    def _own_aside(self) -> list[Path]:
        """Return the stores of this device that were put aside before, the newest first.

        What a broken store has lost may still be in the one that it was begun from.
        """
        files = self.files
        return [
            path for path in files.quarantined() if files.is_a_database(path) and self._is_own(path)
        ]

    def _is_own(self, aside: Path) -> bool:
        try:
            with closing(connect(aside, read_only=True)) as connection:
                row = connection.execute("SELECT device_id FROM device").fetchone()
        except FAILURES as error:
            unavailable = explain(error)
            if unavailable is None or unavailable.corrupt:
                return True  # it cannot name its device any more
            raise unavailable from error
        return row is None or row[0] == self.device.device_id

    def _supersede(self) -> None:
        """Make every process stop committing to the old file, so that all it has can be read."""
        with quarantines(self.files.folder) as count:
            count[0] = (count[0] + 1) % 256

    def _finish_interrupted(self) -> bool:
        """Put in place the whole store that a power cut left beside one that was put aside.

        Returns False when there is none.
        """
        if not is_whole(self.files):
            return False
        self._supersede()
        self.files.finish_putting_aside(self.device.now_s)
        self.files.put_in_place()
        return True


@contextmanager
def _alone(folder: Path, patience_s: float) -> Iterator[None]:
    """Let one process at a time open the store: two must not both put it aside.

    Raises StoreUnavailableError while another one has been at it for longer than ``patience_s``.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until_s = time.monotonic() + patience_s
    try:
        while not _is_locked(descriptor):
            if time.monotonic() >= until_s:
                raise StoreUnavailableError("another process is opening the store")
            time.sleep(_LOOK_EVERY_S)
        yield
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
