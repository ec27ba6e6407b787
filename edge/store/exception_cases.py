"""Cases that a person must settle (docs/how-to/settle-exceptions.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from edge.domain.entitlement import OrderStatus
from edge.domain.exception_case import ExceptionCase, ExceptionKind, Settlement
from edge.domain.order_row import Row
from edge.store.database.store import Store
from edge.values.instant import Instant

_SELECT = (
    "SELECT id, kind, cause, tried, cti, order_id, compartment, ledger_id, raised_s, settled_s, settled_by,"
    " settlement, note FROM exception"
)


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


# A use that stands, about which nothing was raised yet, and that no door of its own pickup will still find out.
_HONOURED = """
    SELECT l.id FROM ledger l WHERE l.cti = ? AND l.reverses IS NULL
      AND NOT EXISTS (SELECT 1 FROM ledger r WHERE r.reverses = l.id)
      AND NOT EXISTS (SELECT 1 FROM exception x WHERE x.ledger_id = l.id AND x.kind = 'business_rule')
      AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.ledger_id = l.id AND i.state = 'reserved')
"""


def raise_cancelled(connection: sqlite3.Connection, rows: Iterable[Row], now: Instant) -> int:
    """Raise a case for each honoured use of a cancelled order, in the feed's transaction; return how many."""
    raised = 0
    cancelled = OrderStatus.CANCELLED.value
    for cti, order_id in [(row[0], row[1]) for row in rows if row[4] == cancelled]:
        for (ledger_id,) in connection.execute(_HONOURED, (cti,)).fetchall():
            connection.execute(
                "INSERT INTO exception (kind, cause, tried, cti, order_id, ledger_id, raised_s)"
                " VALUES ('business_rule', ?, 'nothing: it was honoured before the cancellation came', ?, ?, ?, ?)",
                ("cancelled after it was honoured", cti, order_id, ledger_id, now.unix_s),
            )
            raised += 1
    return raised


# Where the ledger may say that the event stands: there, or where it stood before it was sent again in a later epoch.
_PLACES = """
    SELECT o.epoch_no, o.seq FROM outbox o JOIN epoch e ON e.no = o.epoch_no WHERE e.epoch = ?3 AND o.seq = ?4
    UNION ALL
    SELECT b.epoch_no, b.seq FROM outbox o JOIN epoch e ON e.no = o.epoch_no
    JOIN outbox b ON b.id = o.id AND b.rejected = 'sequence_reused' WHERE e.epoch = ?3 AND o.seq = ?4
"""


def record_conflict(
    store: Store, *, no: int, epoch: str, seq: int, other: str, other_s: int, now: Instant
) -> bool:
    """Raise the platform's conflict ``no`` about event ``seq`` of ``epoch``. False when it was raised before.

    ``other`` is the other device, ``other_s`` when it honoured the same entitlement, Unix seconds.
    """
    name = f"conflict {no}: "
    cause = f"{name}event {seq} of {epoch}; also honoured by {other} at {other_s}"
    with store.transaction() as connection:
        known = connection.execute(
            "SELECT 1 FROM exception WHERE kind = 'platform_conflict' AND substr(cause, 1, ?) = ?",
            (len(name), name),
        ).fetchone()
        if known:
            return False
        connection.execute(
            "INSERT INTO exception (kind, cause, tried, cti, order_id, ledger_id, raised_s)"  # noqa: S608 - a constant
            " SELECT 'platform_conflict', ?1, 'told by the platform', l.cti, l.order_id, l.id, ?2"
            f" FROM (SELECT 1) LEFT JOIN ledger l ON (l.epoch_no, l.seq) IN ({_PLACES})",
            (cause, now.unix_s, epoch, seq),
        )
        return True
