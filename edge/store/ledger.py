"""The permanent record of redemptions. Rows are only added: a reversal is a row of its own."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from edge.domain.decision_input import Decision
from edge.domain.redemption_report import REDEMPTION_EVENT, redeemed_body
from edge.domain.verdict import Verdict
from edge.store.authorisations import mark_reported
from edge.store.database.store import Store
from edge.store.outbox import OutboxPlace, append_at, next_place
from edge.token.claims import Claims
from edge.values.instant import ClockTrust, Instant

REVERSED: Final = "reversed"
_COLUMNS: Final = (
    "l.id, l.cti, l.use_no, l.reverses, l.order_id, l.kind, l.units, l.amount_minor, l.currency,"
    " l.verdict, l.reason, l.at_s, l.trust, l.operator, l.risk, e.epoch, l.seq,"
    " l.seq <= e.acknowledged_through"
)
_INSERT: Final = (
    "INSERT INTO ledger (cti, use_no, reverses, order_id, kind, units, amount_minor, currency,"
    " verdict, reason, operator, risk, at_s, trust, epoch_no, seq, event_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One line of the ledger. ``use_no`` is None and ``reverses`` set for a reversal."""

    id: int
    cti: bytes
    use_no: int | None
    reverses: int | None
    order_id: str
    kind: str
    units: int
    amount_minor: int | None
    currency: str | None
    verdict: str
    reason: str | None
    at: Instant
    operator: str | None
    risks: tuple[str, ...]
    epoch: str
    seq: int
    acknowledged: bool  # the platform has acknowledged it


class _Line(NamedTuple):
    """The columns of a row before its time, clock, place and event."""

    cti: bytes
    use_no: int | None
    reverses: int | None
    order_id: str
    kind: str
    units: int
    amount_minor: int | None
    currency: str | None
    verdict: str
    reason: str | None
    operator: str | None
    risk: str | None


def write_redemption(
    connection: sqlite3.Connection,
    claims: Claims,
    decision: Decision,
    *,
    use_no: int,
    place: OutboxPlace,
    now: Instant,
    operator: str | None,
    event_id: str,
) -> int:
    """Write an accepted decision and its event in the caller's transaction; return the row's id."""
    body = redeemed_body(claims, decision, use_no, operator)
    append_at(connection, place, type="redeemed", body=body, now=now, id=event_id)
    line = _Line(
        cti=claims.cti,
        use_no=use_no,
        reverses=None,
        order_id=claims.order_id,
        kind=claims.kind.code,
        units=decision.units,
        amount_minor=decision.amount_minor,
        currency=claims.currency,
        verdict=decision.verdict.value,
        reason=None,
        operator=operator,
        risk=" ".join(decision.risks) or None,
    )
    ledger_id = _insert(connection, line, place=place, now=now, event_id=event_id)
    if decision.verdict is Verdict.ACCEPTED_PENDING_REVIEW:
        opened = "INSERT INTO review (ledger_id, state, opened_s) VALUES (?, 'pending', ?)"
        connection.execute(opened, (ledger_id, now.unix_s))
    return ledger_id


def write_reversal(
    connection: sqlite3.Connection,
    ledger_id: int,
    *,
    reason: str,
    now: Instant,
    operator: str | None,
    event_id: str,
) -> int | None:
    """Reverse a redemption, with its event, in the caller's transaction.

    Returns the reversal's id; None when the redemption was reversed before.
    """
    found = connection.execute(
        "SELECT cti, use_no, order_id, kind, units, amount_minor, currency, event_id, epoch_no, seq"
        " FROM ledger l WHERE id = ? AND use_no IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM ledger r WHERE r.reverses = l.id)",
        (ledger_id,),
    ).fetchone()
    if found is None:
        return None
    cti, use_no, order_id, kind, units, amount_minor, currency, redemption, epoch_no, seq = found
    mark_reported(connection, OutboxPlace(epoch_no, seq))
    body = {
        "cti": cti.hex(),
        "order": order_id,
        "use": use_no,
        "reason": reason,
        "operator": operator,
        REDEMPTION_EVENT: redemption,
    }
    place = next_place(connection)
    append_at(connection, place, type="reversed", body=body, now=now, id=event_id)
    of_use = (order_id, kind, units, amount_minor, currency)
    line = _Line(cti, None, ledger_id, *of_use, REVERSED, reason, operator, None)
    return _insert(connection, line, place=place, now=now, event_id=event_id)


def _insert(
    connection: sqlite3.Connection,
    line: _Line,
    *,
    place: OutboxPlace,
    now: Instant,
    event_id: str,
) -> int:
    row = (*line, now.unix_s, now.trust.value, *place, event_id)
    ledger_id = connection.execute(_INSERT, row).lastrowid
    assert ledger_id is not None
    return ledger_id


def rows(
    store: Store, *, cti: bytes | None = None, after_id: int = 0, limit: int = 1000
) -> list[LedgerRow]:
    """Return ledger rows of one code, or of all, in the order in which they were written."""
    with store.read() as connection:
        found = connection.execute(
            f"SELECT {_COLUMNS} FROM ledger l JOIN epoch e ON e.no = l.epoch_no"
            " WHERE l.id > ?1 AND (?2 IS NULL OR l.cti = ?2) ORDER BY l.id LIMIT ?3",
            (after_id, cti, limit),
        ).fetchall()
    return [_row(row) for row in found]


def find_row(connection: sqlite3.Connection, ledger_id: int) -> LedgerRow | None:
    """Return one row within the caller's transaction, or None."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM ledger l JOIN epoch e ON e.no = l.epoch_no WHERE l.id = ?",
        (ledger_id,),
    ).fetchone()
    return None if row is None else _row(row)


def is_reversed(connection: sqlite3.Connection, ledger_id: int) -> bool:
    """Return whether a reversal names this row."""
    query = "SELECT EXISTS (SELECT 1 FROM ledger WHERE reverses = ?)"
    return bool(connection.execute(query, (ledger_id,)).fetchone()[0])


def count(store: Store) -> int:
    """Return how many rows the ledger has."""
    with store.read() as connection:
        return int(connection.execute("SELECT count(*) FROM ledger").fetchone()[0])


def _row(row: tuple[Any, ...]) -> LedgerRow:
    return LedgerRow(
        id=row[0],
        cti=row[1],
        use_no=row[2],
        reverses=row[3],
        order_id=row[4],
        kind=row[5],
        units=row[6],
        amount_minor=row[7],
        currency=row[8],
        verdict=row[9],
        reason=row[10],
        at=Instant(unix_s=row[11], trust=ClockTrust(row[12])),
        operator=row[13],
        risks=tuple((row[14] or "").split()),
        epoch=row[15],
        seq=row[16],
        acknowledged=bool(row[17]),
    )
