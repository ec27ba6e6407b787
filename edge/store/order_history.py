"""The history of an order on this device: scans, redemptions, doors, reviews, cases and events."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Final

from edge.store.database.store import Store

# What an entry is called, the query by order, and the names of the columns after the time.
_SOURCES: Final = (
    (
        "scan",
        "SELECT at_s, id, trust, reason, detail, hex(cti), operator, ledger_id, shown,"
        " round(total_ms, 1) FROM journal WHERE order_id = ?",
        ("scan", "clock", "reason", "detail", "cti", "operator", "ledger_id", "shown", "total_ms"),
    ),
    (
        "ledger",
        "SELECT l.at_s, l.id, l.trust, l.verdict, l.kind, l.use_no, l.reverses, l.units,"
        " l.amount_minor, l.currency, l.reason, l.operator, l.risk, e.epoch, l.seq,"
        " l.seq <= e.acknowledged_through"
        " FROM ledger l JOIN epoch e ON e.no = l.epoch_no WHERE l.order_id = ?",
        (
            "ledger_id",
            "clock",
            "verdict",
            "kind",
            "use",
            "reverses",
            "units",
            "amount_minor",
            "currency",
            "reason",
            "operator",
            "risks",
            "epoch",
            "seq",
            "acknowledged",
        ),
    ),
    (
        "door",
        "SELECT coalesce(i.ended_s, i.opened_s, i.pulsed_s, i.reserved_s), i.ledger_id,"
        " i.compartment, i.state, i.detail, i.reopening, i.reserved_s, i.pulsed_s, i.opened_s,"
        " i.ended_s FROM intent i JOIN ledger l ON l.id = i.ledger_id WHERE l.order_id = ?",
        (
            "ledger_id",
            "compartment",
            "state",
            "detail",
            "reopening",
            "reserved_s",
            "pulsed_s",
            "opened_s",
            "ended_s",
        ),
    ),
    (
        "review",
        "SELECT coalesce(r.decided_s, r.opened_s), r.ledger_id, r.state, r.opened_s, r.decided_s,"
        " r.decided_by, r.reason"
        " FROM review r JOIN ledger l ON l.id = r.ledger_id WHERE l.order_id = ?",
        ("ledger_id", "state", "opened_s", "decided_s", "decided_by", "reason"),
    ),
    (
        "exception",
        "SELECT raised_s, id, kind, cause, tried, compartment, ledger_id, settled_s, settled_by,"
        " settlement, note FROM exception WHERE order_id = ?",
        (
            "case",
            "kind",
            "cause",
            "tried",
            "compartment",
            "ledger_id",
            "settled_s",
            "settled_by",
            "settlement",
            "note",
        ),
    ),
    (
        "event",
        "SELECT o.at_s, e.epoch, o.seq, o.id, o.type, o.trust, o.seq <= e.acknowledged_through,"
        " o.rejected, o.body ->> '$.retry_of', o.body"
        " FROM outbox o JOIN epoch e ON e.no = o.epoch_no WHERE o.body ->> '$.order' = ?",
        ("epoch", "seq", "id", "type", "clock", "acknowledged", "refused", "retry_of", "body"),
    ),
)
_CLOCK: Final = (
    "clock",
    "SELECT at_s, body ->> '$.previous_floor', body ->> '$.new_floor', body ->> '$.reason'"
    " FROM outbox WHERE type = 'clock_reset' AND ?1 <> ''",
    ("previous_floor_s", "new_floor_s", "reason"),
)
_ORDER: Final = (
    "SELECT hex(cti), kind, status, home_site, home_device, quantity, amount_minor, currency,"
    " review, compartments, revision FROM entitlement"
    " WHERE order_id = ? AND generation >= (SELECT generation FROM feed)"
)
_ORDER_COLUMNS: Final = (
    "cti",
    "kind",
    "status",
    "home_site",
    "home_device",
    "quantity",
    "amount_minor",
    "currency",
    "review",
    "compartments",
    "revision",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One thing that happened; with ``record`` "order", an entitlement that is in the cache now."""

    at_s: int | None  # Unix seconds; None for an order
    record: str  # order | scan | ledger | door | review | exception | event | clock
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderHistory:
    """Everything that this device has about one order."""

    device: str
    order: str
    lines: tuple[HistoryEntry, ...]
    complete: bool  # the platform has every event of it, and no case of it is open


def order_history(store: Store, order: str) -> OrderHistory:
    """Read the history of ``order`` in one consistent view. Raises StoreUnavailableError."""
    with store.read() as connection:
        (device,) = connection.execute("SELECT device_id FROM device").fetchone()
        cached = [
            HistoryEntry(at_s=None, record="order", fields=_named(_ORDER_COLUMNS, row))
            for row in connection.execute(_ORDER, (order,))
        ]
        happened = [line for source in _SOURCES for line in _lines(connection, order, *source)]
        if happened:  # a clock reset explains times that go back
            happened += _lines(connection, order, *_CLOCK)
    happened.sort(key=lambda line: line.at_s or 0)  # stable: in one second as the sources go
    replaced = _replaced(happened)
    complete = all(_is_complete(line, replaced) for line in happened)
    return OrderHistory(device=device, order=order, lines=(*cached, *happened), complete=complete)


def _replaced(lines: list[HistoryEntry]) -> frozenset[str]:
    """Return the ids of refused events that were sent again, under their own id or another."""
    events = [line.fields for line in lines if line.record == "event"]
    standing = {str(event["id"]) for event in events if event["refused"] is None}
    retried = {str(event["retry_of"]) for event in events if event["retry_of"]}
    return frozenset(standing | retried)


def _lines(
    connection: sqlite3.Connection, order: str, record: str, query: str, columns: tuple[str, ...]
) -> list[HistoryEntry]:
    return [
        HistoryEntry(at_s=at_s, record=record, fields=_named(columns, tuple(row)))
        for at_s, *row in connection.execute(f"{query} ORDER BY 1, 2", (order,))
    ]


def _named(columns: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    named = dict(zip(columns, row, strict=True))
    for flag in ("acknowledged", "reopening", "review"):
        if flag in named:
            named[flag] = bool(named[flag])
    for text in ("body", "compartments"):
        if text in named:
            named[text] = json.loads(named[text])
    if named.get("cti"):
        named["cti"] = named["cti"].lower()
    return named


def _is_complete(line: HistoryEntry, replaced: frozenset[str]) -> bool:
    match line.record:
        case "event":
            refused = line.fields["refused"] is not None and line.fields["id"] not in replaced
            return bool(line.fields["acknowledged"]) and not refused
        case "exception":
            return line.fields["settled_s"] is not None
        case "review":
            return str(line.fields["state"]) != "pending"
        case "door":
            return line.fields["ended_s"] is not None
        case _:
            return True
