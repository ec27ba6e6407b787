"""Rebuild the reviews that a broken store lost, and name the other rows that it lost."""

from __future__ import annotations

import sqlite3
from typing import Final

from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.domain.upload_refusal import LOST
from edge.domain.verdict import Verdict
from edge.store.salvage.carried_tables import CARRIED
from edge.store.salvage.event_body import events_of_uses
from edge.store.salvage.lost_events import ranges
from edge.store.salvage.remains import SalvagedRows

# Tables that number their rows and delete none, with what a row of them is.
_NUMBERED: Final = {
    "ledger": "ledger rows",
    "intent": "door commands",
    "exception": "cases",
    "operator_log": "lines of the operator log",
}


def rebuild_reviews(connection: sqlite3.Connection) -> None:
    """Write the review of each redemption that needs one and has none, and end what has ended."""
    connection.execute(
        "INSERT INTO review (ledger_id, state, opened_s)"
        " SELECT id, 'pending', at_s FROM ledger WHERE verdict = ?"
        " AND id NOT IN (SELECT ledger_id FROM review)",
        (Verdict.ACCEPTED_PENDING_REVIEW.value,),
    )
    for event in events_of_uses(connection, "review"):
        connection.execute(
            "UPDATE review SET state = ?, decided_s = ?, decided_by = ?, reason = ?"
            " WHERE state = 'pending'"
            " AND ledger_id = (SELECT id FROM ledger WHERE cti = ? AND use_no = ?)",
            (
                event.text("state") or "void",
                event.at_s,
                event.text("operator"),
                event.text("reason"),
                event.cti,
                event.use_no,
            ),
        )
    connection.execute(
        "UPDATE review SET state = 'void' WHERE state = 'pending' AND ledger_id IN"
        " (SELECT reverses FROM ledger WHERE reverses IS NOT NULL)"
    )


def name_lost_rows(connection: sqlite3.Connection, remains: SalvagedRows) -> list[str]:
    """Return what each damaged table lacks, in words.

    Rows are numbered without gaps, so a number that is missing is a row that is lost. What followed
    the last one cannot be known.
    """
    lost = []
    for table in sorted(remains.damaged & set(_NUMBERED)):
        there = [number for (number,) in connection.execute(f"SELECT id FROM {table} ORDER BY id")]
        last = there[-1] if there else 0
        gaps = sorted(set(range(1, last)) - set(there))
        if gaps:
            lost.append(f"{len(gaps)} {_NUMBERED[table]} ({ranges(gaps)})")
        lost.append(f"perhaps {_NUMBERED[table]} after {last}")
    carried = {table.name for table in CARRIED}
    others = sorted(remains.damaged & carried - set(_NUMBERED) - {"outbox"})
    return [*lost, f"parts of {', '.join(others)}"] if others else lost


def detach_references(connection: sqlite3.Connection) -> None:
    """Remove what refers to a row that is lost, or only the reference where the rest has a use."""
    connection.execute(
        "UPDATE exception SET ledger_id = NULL WHERE ledger_id NOT IN (SELECT id FROM ledger)"
    )
    connection.execute(
        "UPDATE journal SET ledger_id = NULL WHERE ledger_id NOT IN (SELECT id FROM ledger)"
    )
    connection.execute(
        "UPDATE journal SET policy_no = NULL WHERE policy_no NOT IN (SELECT no FROM policy)"
    )
    for table, column in (("review", "ledger_id"), ("intent", "ledger_id"), ("ledger", "reverses")):
        connection.execute(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT id FROM ledger)")


def refused_without_case(connection: sqlite3.Connection, *, now_s: int) -> list[ExceptionCase]:
    """Return a case for each event that the platform refused and whose case was lost."""
    refused = connection.execute(
        "SELECT o.seq, e.epoch, o.rejected FROM outbox o JOIN epoch e ON e.no = o.epoch_no"
        " WHERE o.rejected NOT IN (?, 'sequence_reused', 'revoked') AND NOT EXISTS"
        " (SELECT 1 FROM exception x WHERE x.kind = ?"
        " AND x.cause = 'event ' || o.seq || ' of ' || e.epoch || ': ' || o.rejected)",
        (LOST, ExceptionKind.UPLOAD_REFUSED.value),
    ).fetchall()
    return [
        ExceptionCase(
            kind=ExceptionKind.UPLOAD_REFUSED,
            cause=f"event {seq} of {epoch}: {reason}",
            tried="sent to the platform",
            raised_s=now_s,
        )
        for seq, epoch, reason in refused
    ]
