"""Cases that a person must settle (docs/how-to/settle-exceptions.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from edge.domain.entitlement import OrderStatus
from edge.domain.exception_case import ExceptionCase, ExceptionKind, Settlement
from edge.domain.order_row import Row
from edge.store.database.store import Store
from edge.token.claims import Claims
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
MOST_OPEN_CONFLICTS: Final = 200  # a platform that reports more waits until a person settles some
_CONFLICT: Final = "FROM exception WHERE kind = 'platform_conflict'"
_OPEN_CONFLICTS: Final = (
    f"SELECT count(*) FROM (SELECT 1 {_CONFLICT} AND settled_s IS NULL LIMIT {MOST_OPEN_CONFLICTS})"
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedConflict:
    """The platform's report that an entitlement was redeemed here and elsewhere."""

    no: int  # the platform's
    cti: bytes
    epoch: str  # of this device's own event
    seq: int
    other: str  # the device that redeemed the same entitlement, too
    other_s: int  # when it did, Unix seconds

    @property
    def cause(self) -> str:
        """What the case says; each conflict has its own."""
        return (
            f"conflict {self.no}: event {self.seq} of {self.epoch};"
            f" also redeemed by {self.other} at {self.other_s}"
        )


def unrecorded_conflicts(
    store: Store, reported: Iterable[ReportedConflict]
) -> list[ReportedConflict]:
    """Return those of ``reported`` that no case was raised about yet. Takes no lock."""
    query = f"SELECT 1 {_CONFLICT} AND cause = ?"
    with store.read() as connection:
        return [
            conflict
            for conflict in reported
            if connection.execute(query, (conflict.cause,)).fetchone() is None
        ]


def room_for_conflicts(store: Store) -> int:
    """Return how many more conflicts may be raised before a person settles one."""
    with store.read() as connection:
        (count,) = connection.execute(_OPEN_CONFLICTS).fetchone()
    return MOST_OPEN_CONFLICTS - int(count)


def raise_data_error(
    connection: sqlite3.Connection, claims: Claims, detail: str, now: Instant
) -> None:
    """Raise a case about a code that its order line contradicts, unless one is open already."""
    known = connection.execute(
        "SELECT 1 FROM exception WHERE cti = ? AND kind = 'data_error' AND settled_s IS NULL",
        (claims.cti,),
    ).fetchone()
    if known is None:
        case = ExceptionCase(
            kind=ExceptionKind.DATA_ERROR,
            cause=detail,
            tried="nothing was redeemed",
            cti=claims.cti,
            order_id=claims.order_id,
            raised_s=now.unix_s,
        )
        raise_case(connection, case)


def record_conflict(
    connection: sqlite3.Connection, conflict: ReportedConflict, now: Instant
) -> None:
    """Raise a case for ``conflict``, which has none yet, in the caller's transaction."""
    about = connection.execute(
        f"SELECT cti, order_id, id FROM ledger WHERE cti = ?3 AND (epoch_no, seq) IN ({_PLACES})",
        (conflict.epoch, conflict.seq, conflict.cti),
    ).fetchone()
    cti, order_id, ledger_id = about or (None, None, None)
    case = ExceptionCase(
        kind=ExceptionKind.PLATFORM_CONFLICT,
        cause=conflict.cause,
        tried="reported by the platform",
        cti=cti,
        order_id=order_id,
        ledger_id=ledger_id,
        raised_s=now.unix_s,
    )
    raise_case(connection, case)


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
