"""What a lock was told, and what came of it: rows that are written before and after each act (law 5)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from edge.store.database.store import Store
from edge.values.instant import Instant

_SELECT = (
    "SELECT i.id, i.ledger_id, i.cti, l.order_id, l.use_no, i.compartment, i.position, i.reopening, i.state, i.detail,"
    " i.reserved_s, i.pulsed_s, i.opened_s, i.ended_s FROM intent i JOIN ledger l ON l.id = i.ledger_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One door of one pickup. Times are Unix seconds of the device's clock; ``ended_s`` None: still under way."""

    id: int
    ledger_id: int
    cti: bytes
    order_id: str
    use_no: int
    compartment: str
    position: int
    reopening: bool
    state: str
    detail: str
    reserved_s: int
    pulsed_s: int | None
    opened_s: int | None
    ended_s: int | None


def live(store: Store) -> list[Intent]:
    """Doors under way, in the order in which they are walked."""
    with store.read() as connection:
        return [
            _intent(row)
            for row in connection.execute(f"{_SELECT} WHERE i.ended_s IS NULL ORDER BY i.id")
        ]


def of_ids(store: Store, ids: tuple[int, ...]) -> list[Intent]:
    """The named rows, in their order."""
    with store.read() as connection:
        found = (
            connection.execute(f"{_SELECT} WHERE i.id = ?", (number,)).fetchone() for number in ids
        )
        return [_intent(row) for row in found if row is not None]


def move(
    connection: sqlite3.Connection,
    intent_id: int,
    *,
    state: str,
    detail: str,
    now: Instant,
    ended: bool,
) -> bool:
    """Record a state and when it began, in the caller's transaction. False, and nothing changed: it had ended."""
    changed = connection.execute(
        "UPDATE intent SET state = ?1, detail = ?2,"
        " pulsed_s = CASE WHEN ?1 = 'pulsing' THEN ?3 ELSE pulsed_s END,"
        " opened_s = CASE WHEN ?1 = 'opened' THEN ?3 ELSE opened_s END,"
        " ended_s = CASE WHEN ?4 THEN ?3 END WHERE id = ?5 AND ended_s IS NULL",
        (state, detail, now.unix_s, ended, intent_id),
    )
    return changed.rowcount == 1


def found_by_hand(
    connection: sqlite3.Connection,
    ledger_id: int,
    compartment: str,
    *,
    state: str,
    detail: str,
    now: Instant,
) -> bool:
    """Somebody looked: end what is under way or unknown at this door, in the caller's transaction. False: nothing."""
    changed = connection.execute(
        "UPDATE intent SET state = ?, detail = ?, ended_s = coalesce(ended_s, ?)"
        " WHERE ledger_id = ? AND compartment = ? AND (ended_s IS NULL OR state = 'unknown')",
        (state, detail, now.unix_s, ledger_id, compartment),
    )
    return changed.rowcount > 0


def is_under_way(connection: sqlite3.Connection, ledger_id: int) -> bool:
    """Whether a door of this use is being walked now."""
    query = "SELECT EXISTS (SELECT 1 FROM intent WHERE ledger_id = ? AND ended_s IS NULL)"
    return bool(connection.execute(query, (ledger_id,)).fetchone()[0])


def nothing_left_the_locker(connection: sqlite3.Connection, ledger_id: int) -> bool:
    """Whether every door of a use is known not to have opened, so that the use may be taken back."""
    row = connection.execute(
        "SELECT NOT EXISTS (SELECT 1 FROM intent WHERE ledger_id = ? AND state != 'released')",
        (ledger_id,),
    ).fetchone()
    return bool(row[0])


def _intent(row: tuple) -> Intent:  # type: ignore[type-arg]
    (number, ledger_id, cti, order_id, use_no, compartment, position, reopening, state, detail, reserved_s, pulsed_s,
     opened_s, ended_s) = row  # fmt: skip
    return Intent(
        id=number, ledger_id=ledger_id, cti=cti, order_id=order_id, use_no=use_no, compartment=compartment,
        position=position, reopening=bool(reopening), state=state, detail=detail, reserved_s=reserved_s,
        pulsed_s=pulsed_s, opened_s=opened_s, ended_s=ended_s,
    )  # fmt: skip
