"""Commands to locks and their outcome: rows written before and after each act (law 5)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from edge.store.database.store import Store
from edge.values.instant import Instant

_SELECT: Final = (
    "SELECT i.id, i.ledger_id, i.cti, l.order_id, l.use_no, i.compartment, i.position, i.reopening,"
    " i.state, i.detail, i.reserved_s, i.pulsed_s, i.opened_s, i.ended_s"
    " FROM intent i JOIN ledger l ON l.id = i.ledger_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One door of one pickup. Times are Unix seconds of the device's clock."""

    id: int
    ledger_id: int
    cti: bytes
    order_id: str
    use_no: int
    compartment: str
    position: int  # in the order of opening, from 0
    reopening: bool
    state: str  # of edge.pickup.door_states.DoorState
    detail: str
    reserved_s: int
    pulsed_s: int | None
    opened_s: int | None
    ended_s: int | None  # None: not ended


def reserve(
    connection: sqlite3.Connection,
    ledger_id: int,
    cti: bytes,
    compartments: Iterable[str],
    *,
    reopening: bool,
    now: Instant,
) -> tuple[int, ...]:
    """Write one intent for each door, in the caller's transaction; return their ids."""
    ids = []
    for position, compartment in enumerate(compartments):
        cursor = connection.execute(
            "INSERT INTO intent"
            " (ledger_id, cti, compartment, position, reopening, state, reserved_s)"
            " VALUES (?, ?, ?, ?, ?, 'reserved', ?)",
            (ledger_id, cti, compartment, position, reopening, now.unix_s),
        )
        ids.append(int(cursor.lastrowid or 0))
    return tuple(ids)


def unfinished(store: Store) -> list[Intent]:
    """Return the intents that have not ended, in the order of their opening."""
    with store.read() as connection:
        return [
            _intent(row)
            for row in connection.execute(f"{_SELECT} WHERE i.ended_s IS NULL ORDER BY i.id")
        ]


def find_intents(store: Store, ids: tuple[int, ...]) -> list[Intent]:
    """Return the intents with these ids, in the order of ``ids``."""
    with store.read() as connection:
        found = (
            connection.execute(f"{_SELECT} WHERE i.id = ?", (number,)).fetchone() for number in ids
        )
        return [_intent(row) for row in found if row is not None]


def record_state(
    connection: sqlite3.Connection,
    intent_id: int,
    *,
    state: str,
    detail: str,
    now: Instant,
    ended: bool,
) -> bool:
    """Record a state and its time in the caller's transaction; False when the intent had ended."""
    changed = connection.execute(
        "UPDATE intent SET state = ?1, detail = ?2,"
        " pulsed_s = CASE WHEN ?1 = 'pulsing' THEN ?3 ELSE pulsed_s END,"
        " opened_s = CASE WHEN ?1 = 'opened' THEN ?3 ELSE opened_s END,"
        " ended_s = CASE WHEN ?4 THEN ?3 END WHERE id = ?5 AND ended_s IS NULL",
        (state, detail, now.unix_s, ended, intent_id),
    )
    return changed.rowcount == 1


def end_door(
    connection: sqlite3.Connection,
    ledger_id: int,
    compartment: str,
    *,
    state: str,
    detail: str,
    now: Instant,
) -> bool:
    """End what is in progress or unknown at a door that a person has looked at.

    Works in the caller's transaction; returns False when there was nothing to end.
    """
    changed = connection.execute(
        "UPDATE intent SET state = ?, detail = ?, ended_s = coalesce(ended_s, ?)"
        " WHERE ledger_id = ? AND compartment = ? AND (ended_s IS NULL OR state = 'unknown')",
        (state, detail, now.unix_s, ledger_id, compartment),
    )
    return changed.rowcount > 0


def is_in_progress(connection: sqlite3.Connection, ledger_id: int) -> bool:
    """Return whether a door of this redemption has not ended."""
    query = "SELECT EXISTS (SELECT 1 FROM intent WHERE ledger_id = ? AND ended_s IS NULL)"
    return bool(connection.execute(query, (ledger_id,)).fetchone()[0])


def all_released(connection: sqlite3.Connection, ledger_id: int) -> bool:
    """Return whether every door of a redemption is known to have stayed shut.

    Then nothing left the locker, and the redemption may be reversed.
    """
    row = connection.execute(
        "SELECT NOT EXISTS (SELECT 1 FROM intent WHERE ledger_id = ? AND state != 'released')",
        (ledger_id,),
    ).fetchone()
    return bool(row[0])


def _intent(row: tuple[Any, ...]) -> Intent:
    return Intent(
        id=row[0],
        ledger_id=row[1],
        cti=row[2],
        order_id=row[3],
        use_no=row[4],
        compartment=row[5],
        position=row[6],
        reopening=bool(row[7]),
        state=row[8],
        detail=row[9],
        reserved_s=row[10],
        pulsed_s=row[11],
        opened_s=row[12],
        ended_s=row[13],
    )
