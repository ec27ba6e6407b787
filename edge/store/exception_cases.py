"""Cases that a person must settle (docs/how-to/settle-exceptions.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from edge.domain.entitlement import OrderStatus
from edge.domain.exception_case import ExceptionCase, ExceptionKind, Settlement
from edge.domain.order_row import Row
from edge.store.database.store import Store
from edge.values.instant import Instant

_SELECT: Final = (
    "SELECT id, kind, cause, tried, cti, order_id, compartment, ledger_id, raised_s, settled_s,"
    " settled_by, settlement, note FROM exception"
)
# Redemptions of a code that are not reversed, that no case was raised about yet, and that no door
# of their own pickup can still report as cancelled.
_REDEEMED: Final = """
    SELECT l.id FROM ledger l WHERE l.cti = ? AND l.reverses IS NULL
      AND NOT EXISTS (SELECT 1 FROM ledger r WHERE r.reverses = l.id)
      AND NOT EXISTS
        (SELECT 1 FROM exception x WHERE x.ledger_id = l.id AND x.kind = 'business_rule')
      AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.ledger_id = l.id AND i.state = 'reserved')
"""
# Where the ledger may name an event: where it stands, and where it stood before it was sent again
# in a later epoch.
_PLACES: Final = """
    SELECT o.epoch_no, o.seq FROM outbox o JOIN epoch e ON e.no = o.epoch_no
    WHERE e.epoch = ?1 AND o.seq = ?2
    UNION ALL
    SELECT b.epoch_no, b.seq FROM outbox o JOIN epoch e ON e.no = o.epoch_no
    JOIN outbox b ON b.id = o.id AND b.rejected = 'sequence_reused'
    WHERE e.epoch = ?1 AND o.seq = ?2
"""


def raise_case(connection: sqlite3.Connection, case: ExceptionCase) -> int:
    """Record an open ``case`` in the caller's transaction; return the id that it gets."""
    cursor = connection.execute(
        "INSERT INTO exception"
        " (kind, cause, tried, cti, order_id, compartment, ledger_id, raised_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            case.kind.value,
            case.cause,
            case.tried,
            case.cti,
            case.order_id,
            case.compartment,
            case.ledger_id,
            case.raised_s,
        ),
    )
    return int(cursor.lastrowid or 0)


def cases(
    store: Store, *, only_open: bool = False, after_id: int = 0, limit: int = 1000
) -> list[ExceptionCase]:
    """Return cases in the order in which they were raised."""
    with store.read() as connection:
        found = connection.execute(
            f"{_SELECT} WHERE id > ? AND (NOT ? OR settled_s IS NULL) ORDER BY id LIMIT ?",
            (after_id, only_open, limit),
        ).fetchall()
    return [_case(row) for row in found]


def find_case(connection: sqlite3.Connection, case_id: int) -> ExceptionCase | None:
    """Return a case within the caller's transaction, or None."""
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
    """Settle an open case in the caller's transaction; return False when there is no open one."""
    changed = connection.execute(
        "UPDATE exception SET settled_s = ?, settled_by = ?, settlement = ?, note = ?"
        " WHERE id = ? AND settled_s IS NULL",
        (now.unix_s, by, how.value, note, case_id),
    )
    return changed.rowcount == 1


def raise_cancelled(connection: sqlite3.Connection, rows: Iterable[Row], now: Instant) -> int:
    """Raise a case for each redemption of a cancelled order in ``rows``; return how many.

    Runs in the transaction that applies the rows of the order feed.
    """
    raised = 0
    cancelled = OrderStatus.CANCELLED.value
    for cti, order_id in [(row[0], row[1]) for row in rows if row[4] == cancelled]:
        for (ledger_id,) in connection.execute(_REDEEMED, (cti,)).fetchall():
            case = ExceptionCase(
                kind=ExceptionKind.BUSINESS_RULE,
                cause="cancelled after it was redeemed",
                tried="nothing: it was redeemed before the cancellation came",
                cti=cti,
                order_id=order_id,
                ledger_id=ledger_id,
                raised_s=now.unix_s,
            )
            raise_case(connection, case)
            raised += 1
    return raised


def record_conflict(
    store: Store, *, no: int, epoch: str, seq: int, other: str, other_s: int, now: Instant
) -> bool:
    """Raise the platform's conflict ``no`` about event ``seq`` of ``epoch``; False: raised before.

    ``other`` is the device that redeemed the same entitlement too, at ``other_s`` (Unix seconds).
    """
    name = f"conflict {no}: "
    with store.transaction() as connection:
        known = connection.execute(
            "SELECT 1 FROM exception WHERE kind = 'platform_conflict' AND substr(cause, 1, ?) = ?",
            (len(name), name),
        ).fetchone()
        if known:
            return False
        about = connection.execute(
            f"SELECT cti, order_id, id FROM ledger WHERE (epoch_no, seq) IN ({_PLACES})",
            (epoch, seq),
        ).fetchone()
        cti, order_id, ledger_id = about or (None, None, None)
        case = ExceptionCase(
            kind=ExceptionKind.PLATFORM_CONFLICT,
            cause=f"{name}event {seq} of {epoch}; also redeemed by {other} at {other_s}",
            tried="reported by the platform",
            cti=cti,
            order_id=order_id,
            ledger_id=ledger_id,
            raised_s=now.unix_s,
        )
        raise_case(connection, case)
        return True


def _case(row: tuple[Any, ...]) -> ExceptionCase:
    return ExceptionCase(
        id=row[0],
        kind=ExceptionKind(row[1]),
        cause=row[2],
        tried=row[3],
        cti=row[4],
        order_id=row[5],
        compartment=row[6],
        ledger_id=row[7],
        raised_s=row[8],
        settled_s=row[9],
        settled_by=row[10],
        settlement=row[11],
        note=row[12],
    )
