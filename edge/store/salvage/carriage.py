"""Carry what was read of a broken store into the store that takes its place.

Nothing that was redeemed there is redeemed again (law 3), no event that could be read is lost (law
2), and no lock is pulsed whose outcome is not known (law 5). What was lost for good is named in
cases.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from edge.domain.exception_case import ExceptionCase
from edge.store.salvage.carried_device import CarriedDevice, carry_device
from edge.store.salvage.carried_tables import CARRIED, CarriedTable
from edge.store.salvage.lost_doors import close_lost_doors
from edge.store.salvage.lost_events import lost_case, name_epochs, name_lost_events, rebuild_events
from edge.store.salvage.lost_redemptions import rebuild_redemptions
from edge.store.salvage.lost_rows import (
    detach_references,
    name_lost_rows,
    rebuild_reviews,
    refused_without_case,
)
from edge.store.salvage.remains import SalvagedRows


class CarriedState(NamedTuple):
    """What was carried. The caller writes the device's row and raises the cases."""

    redemptions: int  # ledger rows that are redemptions
    events: int
    device: CarriedDevice
    cases: tuple[ExceptionCase, ...]  # what a person should know of what was lost


def carry_over(
    connection: sqlite3.Connection,
    remains: SalvagedRows,
    *,
    now_s: int,
    random_bytes: Callable[[int], bytes],
) -> CarriedState:
    """Write the remains into an empty store, in the caller's transaction.

    A row that breaks the new store's rules is not carried: the file it came from is kept. The
    epoch that the caller begins afterwards has a number above every one that was seen.
    """
    connection.execute("PRAGMA defer_foreign_keys = ON")  # until the caller's transaction ends
    for table in CARRIED:
        if table.name != "device":
            _copy(connection, remains, table)
    cases = name_epochs(connection, now_s=now_s, random_bytes=random_bytes)
    if remains.damaged:
        cases += rebuild_redemptions(connection, remains, now_s=now_s)
        rebuild_events(connection, remains)
        rebuild_reviews(connection)
        cases += close_lost_doors(connection, remains, now_s=now_s)
        cases += refused_without_case(connection, now_s=now_s)
        lost = name_lost_events(connection, remains, now_s=now_s)
        lost += name_lost_rows(connection, remains)
        cases += [_loss(lost, now_s)] if lost else []
    detach_references(connection)
    connection.execute("UPDATE authorisation_request SET consumed = 1 WHERE consumed = 0")
    (redemptions,) = connection.execute(
        "SELECT count(*) FROM ledger WHERE reverses IS NULL"
    ).fetchone()
    (events,) = connection.execute("SELECT count(*) FROM outbox WHERE id != ''").fetchone()
    return CarriedState(redemptions, events, carry_device(connection, remains), tuple(cases))


def _loss(lost: list[str], now_s: int) -> ExceptionCase:
    return lost_case(
        f"not everything in the old store could be read: {'; '.join(lost)}",
        "all else is carried over; a code whose redemption is lost may be redeemed again",
        now_s,
    )


def _copy(connection: sqlite3.Connection, remains: SalvagedRows, table: CarriedTable) -> None:
    """Write the rows of a table. A column that an older or newer store lacks gets its default."""
    default_of: dict[str, Any] = {
        row[1]: row[4] for row in connection.execute(f"PRAGMA table_info({table.name})") if row[3]
    }
    values = ", ".join(
        "?" if default_of.get(name) is None else f"coalesce(?, {default_of[name]})"
        for name in table.columns
    )
    statement = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({values})"
    for *row, _ in remains.gathered.rows(table):
        with suppress(sqlite3.IntegrityError):
            connection.execute(statement, row)
