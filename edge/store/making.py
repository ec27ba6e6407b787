"""Make a whole store beside the one in use, with what could be read of those before it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.store.database.migration import migrate
from edge.store.database.store import FAILURES, StoreUnavailableError, connect, explain
from edge.store.database.store_files import StoreFiles
from edge.store.epochs import begin_epoch
from edge.store.exception_cases import raise_case
from edge.store.salvage.carriage import CarriedState, carry_over
from edge.store.salvage.remains import SalvagedRows


@dataclass(frozen=True, slots=True)
class NewDevice:
    """What a store needs to know of its device and of this moment."""

    device_id: str
    now_s: int
    random_bytes: Callable[[int], bytes]
    floor_s: int  # the least that the time floor may be


def make_store(
    files: StoreFiles, device: NewDevice, *, why: str, remains: SalvagedRows
) -> CarriedState:
    """Make a store with a new epoch, whole and on disk; return what it got of those before it.

    Raises OSError, StoreUnavailableError and what
    ``sqlite3`` raises, and then nothing of it is left.
    """
    files.remove_making()
    try:
        with closing(connect(files.making, make=True)) as connection:
            migrate(connection)
            connection.execute("BEGIN IMMEDIATE")
            carried = _fill(connection, device, why, remains)
            connection.execute("COMMIT")
            _empty_log(connection)
    except BaseException:
        with suppress(OSError):
            files.remove_making()  # a full disk gets its room back
        raise
    files.sync()
    return carried


def is_whole(files: StoreFiles) -> bool:
    """Return whether the store that was being made is whole; a cut before leaves it empty.

    It is not only when two connections find so: SQLite calls a schema that it could not read
    corrupt. Raises OSError and StoreUnavailableError when that cannot be found out now.
    """
    return files.has_making() and any(_names_device(files) for _ in range(2))


def _names_device(files: StoreFiles) -> bool:
    try:
        with closing(connect(files.making)) as connection:
            return bool(connection.execute("SELECT count(*) FROM device").fetchone()[0])
    except FAILURES as error:
        unavailable = explain(error)
        if unavailable is None or unavailable.corrupt:
            return False
        raise unavailable from error


def _fill(
    connection: sqlite3.Connection, device: NewDevice, why: str, remains: SalvagedRows
) -> CarriedState:
    carried = carry_over(connection, remains, now_s=device.now_s, random_bytes=device.random_bytes)
    number = begin_epoch(connection, why=why, now_s=device.now_s, random_bytes=device.random_bytes)
    floor_s, *facts = carried.device
    connection.execute(
        "INSERT INTO device"
        " (one, device_id, epoch_no, time_floor_s, floor_order_s, blocked, requests)"
        " VALUES (1, ?, ?, ?, ?, ?, ?)",
        (device.device_id, number, max(device.floor_s, floor_s), *facts),
    )
    if why != "new":
        case = ExceptionCase(
            kind=ExceptionKind.SYSTEM_FAULT,
            cause=why,
            tried="a new store was begun",
            raised_s=device.now_s,
        )
        for each in (case, *carried.cases):
            raise_case(connection, each)
    return carried


def _empty_log(connection: sqlite3.Connection) -> None:
    """Move the log into the main file, which is renamed alone. Closing would try, and not say."""
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreUnavailableError("another process reads the store that is being made")
