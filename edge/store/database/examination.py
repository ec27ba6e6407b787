"""Find out whether a store can be used: what is wrong with it is seen twice, or it is not wrong.

A file that cannot be read now is no damaged file: the disk, the descriptors or the memory may be
back in a second, and a store that was put aside is not.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge.store.database.integrity import damage_in, read_every_row
from edge.store.database.migration import NewerSchemaError, has_history, migrate
from edge.store.database.store import FAILURES, StoreUnavailableError, connect, explain
from edge.store.database.store_files import StoreFiles

# Small, and what must not be wrong.
_CHECKED: Final = ("device", "epoch", "outbox", "ledger", "intent", "exception", "pin_attempt")


class FaultKind(StrEnum):
    """Why a store cannot be used. Part of the name of a file that was put aside."""

    CORRUPT = "corrupt"
    NEWER = "newer"  # a newer program wrote it
    DEVICE = "device"  # another device's, without a redemption and with nothing to send


@dataclass(frozen=True, slots=True)
class StoreFault:
    """What is wrong with a store, for good."""

    kind: FaultKind
    detail: str


def find_fault(files: StoreFiles, device_id: str, *, busy_timeout_s: float) -> StoreFault | None:
    """Bring the store to this program's schema, and return what is wrong with it; None if nothing.

    Only what two connections find one after the other is a fault. Raises StoreUnavailableError when
    it cannot be found out now, and for another device's store that has something to lose.
    """
    if not files.is_a_database(files.main):
        return StoreFault(FaultKind.CORRUPT, "the store is no database: a folder, or an empty file")
    fault = None
    for _ in range(2):
        fault = _look(files, device_id, busy_timeout_s)
        if fault is None:
            return None
    return fault


def _look(files: StoreFiles, device_id: str, busy_timeout_s: float) -> StoreFault | None:
    try:
        with closing(connect(files.main, busy_timeout_s=busy_timeout_s)) as connection:
            if not has_history(connection):
                return StoreFault(FaultKind.CORRUPT, "the store is not a scanner's")
            migrate(connection)
            suspect = files.is_suspect()
            if damage := damage_in(connection, () if suspect else _CHECKED):
                return StoreFault(FaultKind.CORRUPT, f"the store is damaged ({damage})")
            if suspect:
                read_every_row(connection)
            return _foreign(connection, files, device_id)
    except NewerSchemaError as error:
        return StoreFault(FaultKind.NEWER, f"the store was {error}")
    except FAILURES as error:
        unavailable = explain(error)
        if unavailable is None or unavailable.corrupt:
            return StoreFault(FaultKind.CORRUPT, f"the store cannot be read ({error})")
        raise unavailable from error


def _foreign(
    connection: sqlite3.Connection, files: StoreFiles, device_id: str
) -> StoreFault | None:
    """Return the fault of another device's store that holds nothing of value.

    Raises StoreUnavailableError for one with redemptions or unsent events: a wrong profile must
    not make this folder forget them.
    """
    row = connection.execute("SELECT device_id FROM device").fetchone()
    if row is None:
        return StoreFault(FaultKind.CORRUPT, "the store names no device")
    owner = row[0]
    if owner == device_id:
        return None
    (used,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM ledger) OR EXISTS"
        " (SELECT 1 FROM outbox JOIN epoch ON no = epoch_no WHERE seq > acknowledged_through)"
    ).fetchone()
    if used:
        raise StoreUnavailableError(
            f"the store is of device {owner}, this is {device_id}: start with the profile"
            f" or the identity of {owner}, or move {files.main.name}* out of this folder and"
            " keep them"
        )
    return StoreFault(FaultKind.DEVICE, f"the store is of device {owner}, this is {device_id}")
