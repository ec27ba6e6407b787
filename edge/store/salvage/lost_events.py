"""Rebuild the events that a broken store lost, and name those that are gone for good."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.domain.redemption_report import REDEMPTION_EVENT, redeemed_body
from edge.domain.upload_refusal import LOST
from edge.store.salvage.journalled_use import journalled_use
from edge.store.salvage.remains import SalvagedRows

_UNKNOWN_KEY: Final = "00000000"  # the id of the key that signed a code, where no scan names it

_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def name_epochs(
    connection: sqlite3.Connection, *, now_s: int, random_bytes: Callable[[int], bytes]
) -> list[ExceptionCase]:
    """Give every numbering that an event or a redemption names a row, so none is begun again."""
    cases = []
    numbers = connection.execute(
        "SELECT epoch_no FROM outbox UNION SELECT epoch_no FROM ledger EXCEPT SELECT no FROM epoch"
    ).fetchall()
    for (number,) in numbers:
        name = random_bytes(8).hex()
        row = (number, name, now_s, "salvaged: its name was lost")
        connection.execute("INSERT INTO epoch (no, epoch, began_s, why) VALUES (?, ?, ?, ?)", row)
        cases.append(
            lost_case(
                f"the name of epoch {number} could not be read",
                f"its events are sent again as {name}: the platform may have some under the old"
                " name, and refuses those",
                now_s,
            )
        )
    return cases


def rebuild_events(connection: sqlite3.Connection, remains: SalvagedRows) -> None:
    """Write each event of a redemption or a reversal that the ledger names and the outbox lacks."""
    rows = connection.execute(
        "SELECT l.id, l.cti, l.use_no, l.order_id, l.kind, l.units, l.amount_minor, l.currency,"
        " l.verdict, l.reason, l.at_s, l.trust, l.operator, l.risk, l.epoch_no, l.seq, l.event_id,"
        " o.use_no AS used, o.event_id AS redemption"
        " FROM ledger l LEFT JOIN ledger o ON o.id = l.reverses"
        " WHERE l.seq > 0 AND l.event_id != '' AND NOT EXISTS"
        " (SELECT 1 FROM outbox b WHERE b.epoch_no = l.epoch_no AND b.seq = l.seq) ORDER BY l.id"
    )
    rows.row_factory = sqlite3.Row
    for row in rows.fetchall():
        reversal = row["use_no"] is None
        body = _reversed_body(row) if reversal else _redeemed_body(connection, remains, row)
        connection.execute(
            "INSERT INTO outbox (epoch_no, seq, id, type, body, at_s, trust)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                row["epoch_no"],
                row["seq"],
                row["event_id"],
                "reversed" if reversal else "redeemed",
                _to_json(body),
                row["at_s"],
                row["trust"],
            ),
        )


def name_lost_events(
    connection: sqlite3.Connection, remains: SalvagedRows, *, now_s: int
) -> list[str]:
    """Put a row without content in the place of each event that the platform may not have.

    Its number is sent without content, so that the numbering has no gap. Returns what was lost, in
    words: the numbers, and where an end may be missing.
    """
    lost_here, ends = [], []
    for number, epoch, through in connection.execute(
        "SELECT no, epoch, acknowledged_through FROM epoch ORDER BY no"
    ).fetchall():
        there = [
            seq
            for (seq,) in connection.execute(
                "SELECT seq FROM outbox WHERE epoch_no = ? AND seq > ? ORDER BY seq",
                (number, through),
            )
        ]
        last = there[-1] if there else through
        ends.append(f"{last} of {epoch}")
        lost = sorted(set(range(through + 1, last)) - set(there))
        if not lost:
            continue
        connection.executemany(
            "INSERT INTO outbox (epoch_no, seq, id, type, body, at_s, trust, rejected, rejected_s)"
            " VALUES (?, ?, '', ?, '{}', ?, 'floor_only', ?, ?)",
            ((number, seq, LOST, now_s, LOST, now_s) for seq in lost),
        )
        lost_here.append(f"events {ranges(lost)} of {epoch}")
    if "outbox" in remains.damaged and ends:
        lost_here.append(f"perhaps events after {', '.join(ends)}")
    return lost_here


def lost_case(cause: str, tried: str, now_s: int, **about: Any) -> ExceptionCase:
    """Return a case about something that was lost with the store."""
    return ExceptionCase(
        kind=ExceptionKind.SYSTEM_FAULT, cause=cause, tried=tried, raised_s=now_s, **about
    )


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers as text, runs of them as a range.

    >>> ranges([3, 5, 6, 7])
    '3, 5-7'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _redeemed_body(
    connection: sqlite3.Connection, remains: SalvagedRows, row: sqlite3.Row
) -> dict[str, object]:
    journalled = journalled_use(remains.gathered, row["id"])
    if journalled is not None and journalled.facts.claims.cti == row["cti"]:
        return redeemed_body(
            journalled.facts.claims, journalled.decision, row["use_no"], row["operator"]
        )
    doors = connection.execute(
        "SELECT compartment FROM intent WHERE ledger_id = ? AND reopening = 0 ORDER BY id",
        (row["id"],),
    )
    return {
        "cti": row["cti"].hex(),
        "order": row["order_id"],
        "kind": row["kind"],
        "use": row["use_no"],
        "units": row["units"],
        "amount_minor": row["amount_minor"],
        "currency": row["currency"],
        "verdict": row["verdict"],
        "risks": (row["risk"] or "").split(),
        "operator": row["operator"],
        "doors": list(dict.fromkeys(name for (name,) in doors)),
        "kid": _UNKNOWN_KEY,
        "expires_s": None,
    }


def _reversed_body(row: sqlite3.Row) -> dict[str, object]:
    return {
        "cti": row["cti"].hex(),
        "order": row["order_id"],
        "use": row["used"],
        "reason": row["reason"],
        "operator": row["operator"],
        REDEMPTION_EVENT: row["redemption"],
    }
