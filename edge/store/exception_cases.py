"""Cases that a person must settle (docs/how-to/settle-exceptions.md)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from edge.store.database.store import Store
from edge.values.instant import Instant

_SELECT = (
    "SELECT id, kind, cause, tried, cti, order_id, compartment, ledger_id, raised_s, settled_s, settled_by,"
    " settlement, note FROM exception"
)


class ExceptionKind(StrEnum):
    """What sort of case it is."""

    SYSTEM_FAULT = "system_fault"
    DATA_ERROR = "data_error"
    BUSINESS_RULE = "business_rule"
    DISPUTE = "dispute"
    DOOR_NOT_OPENED = "door_not_opened"
    DOOR_LEFT_OPEN = "door_left_open"
    SENSOR_FAULT = "sensor_fault"
    PLATFORM_CONFLICT = "platform_conflict"
    UPLOAD_REFUSED = "upload_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionCase:
    """One case. ``settled_s`` is None while it is open."""

    id: int
    kind: ExceptionKind
    cause: str
    tried: str
    cti: bytes | None
    order_id: str | None
    compartment: str | None
    ledger_id: int | None
    raised_s: int
    settled_s: int | None
    settled_by: str | None
    settlement: str | None
    note: str | None


def raise_case(
    connection: sqlite3.Connection,
    kind: ExceptionKind,
    *,
    cause: str,
    tried: str,
    now: Instant,
    cti: bytes | None = None,
    order_id: str | None = None,
    compartment: str | None = None,
    ledger_id: int | None = None,
) -> int:
    """Record a case in the caller's transaction; return its id."""
    return int(
        connection.execute(
            "INSERT INTO exception (kind, cause, tried, cti, order_id, compartment, ledger_id, raised_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (kind.value, cause, tried, cti, order_id, compartment, ledger_id, now.unix_s),
        ).lastrowid
        or 0
    )


def cases(
    store: Store, *, only_open: bool = False, after_id: int = 0, limit: int = 1000
) -> list[ExceptionCase]:
    """Cases in the order they were raised."""
    with store.read() as connection:
        found = connection.execute(
            f"{_SELECT} WHERE id > ? AND (NOT ? OR settled_s IS NULL) ORDER BY id LIMIT ?",
            (after_id, only_open, limit),
        ).fetchall()
    return [_case(row) for row in found]


class Settlement(StrEnum):
    """How a case was settled."""

    FIXED = "fixed"  # the cause is mended; nothing else changes
    ACCEPTED = "accepted"  # it stays as it is, loss and all
    COLLECTED = "collected"  # somebody looked: the parcel is gone
    NOT_COLLECTED = "not_collected"  # somebody looked: it is inside, and the code is good again
    REVERSED = "reversed"  # the redemption was taken back
    RETRIED = "retried"  # the write-off was tried again, and honoured


def find_case(connection: sqlite3.Connection, case_id: int) -> ExceptionCase | None:
    """One case, in the caller's transaction."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (case_id,)).fetchone()
    return None if row is None else _case(row)


def settle_case(
    connection: sqlite3.Connection,
    case_id: int,
    how: Settlement,
    *,
    by: str,
    note: str,
    now: Instant,
) -> bool:
    """Close an open case in the caller's transaction. False: it is not there, or was settled before."""
    changed = connection.execute(
        "UPDATE exception SET settled_s = ?, settled_by = ?, settlement = ?, note = ?"
        " WHERE id = ? AND settled_s IS NULL",
        (now.unix_s, by, how.value, note, case_id),
    )
    return changed.rowcount == 1


def _case(row: tuple) -> ExceptionCase:  # type: ignore[type-arg]
    return ExceptionCase(
        id=row[0], kind=ExceptionKind(row[1]), cause=row[2], tried=row[3], cti=row[4], order_id=row[5],
        compartment=row[6], ledger_id=row[7], raised_s=row[8], settled_s=row[9], settled_by=row[10],
        settlement=row[11], note=row[12],
    )  # fmt: skip
