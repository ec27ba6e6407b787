"""Every scan, refused ones too: when, what, who, the reason, and the facts the verdict rests on."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final, NamedTuple

from edge.domain.decision_facts import DecisionFacts, dump_facts
from edge.store.database.store import Store
from edge.values.instant import ClockTrust, Instant

_INSERT: Final = (
    "INSERT INTO journal (at_s, trust, reason, detail, cti, order_id, operator, ledger_id,"
    " decode_ms, policy_no, facts, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class JournalEntry(NamedTuple):  # every scan makes one, and a frozen dataclass is slower to make
    """A scan, as it is written. ``facts`` only where a decision was reached."""

    reason: str
    detail: str
    now: Instant
    cti: bytes | None = None
    order_id: str | None = None
    operator: str | None = None
    ledger_id: int | None = None
    decode_ms: float | None = None
    policy_no: int | None = None
    facts: DecisionFacts | None = None
    content: bytes | None = None  # a digest of what was read, where verification failed


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """A scan, as it is read. ``facts`` and ``policy`` are the arguments of ``replay``."""

    id: int
    at: Instant
    reason: str
    detail: str
    cti: bytes | None
    order_id: str | None
    operator: str | None
    ledger_id: int | None
    decode_ms: float | None
    total_ms: float | None
    shown: str | None
    facts: str | None
    policy: str | None


def policy_number(connection: sqlite3.Connection, document: str) -> int:
    """Return the number of a policy's text, in the caller's transaction; a new text gets one."""
    row = connection.execute("SELECT no FROM policy WHERE document = ?", (document,)).fetchone()
    if row is not None:
        return int(row[0])
    cursor = connection.execute("INSERT INTO policy (document) VALUES (?)", (document,))
    return int(cursor.lastrowid or 0)


def write(connection: sqlite3.Connection, entry: JournalEntry) -> int:
    """Write a scan in the caller's transaction; return its id."""
    row = (
        entry.now.unix_s,
        entry.now.trust.value,
        entry.reason,
        entry.detail,
        entry.cti,
        entry.order_id,
        entry.operator,
        entry.ledger_id,
        entry.decode_ms,
        entry.policy_no,
        dump_facts(entry.facts) if entry.facts else None,
        entry.content,
    )
    return int(connection.execute(_INSERT, row).lastrowid or 0)


def complete(store: Store, shown: list[tuple[int, float, str]]) -> None:
    """Complete scans by (journal id, milliseconds from frame to lamp, signal). For idle moments."""
    with store.transaction() as connection:
        rows = [(total_ms, signal, journal_id) for journal_id, total_ms, signal in shown]
        connection.executemany("UPDATE journal SET total_ms = ?, shown = ? WHERE id = ?", rows)


def latest_facts(connection: sqlite3.Connection, cti: bytes) -> str | None:
    """Return the facts of the last decision on a code, within the caller's transaction, or None."""
    row = connection.execute(
        "SELECT facts FROM journal WHERE cti = ? AND facts IS NOT NULL ORDER BY id DESC LIMIT 1",
        (cti,),
    ).fetchone()
    return None if row is None else str(row[0])


def policy_of(connection: sqlite3.Connection, ledger_id: int) -> str | None:
    """Return the text of the policy that a redemption was accepted under.

    None where its scan is no longer in the journal.
    """
    row = connection.execute(
        "SELECT p.document FROM journal j JOIN policy p ON p.no = j.policy_no"
        " WHERE j.ledger_id = ? LIMIT 1",
        (ledger_id,),
    ).fetchone()
    return None if row is None else str(row[0])


def rows(store: Store, *, after_id: int = 0, limit: int = 1000) -> list[JournalRow]:
    """Return scans in the order in which they were made."""
    with store.read() as connection:
        found = connection.execute(
            "SELECT j.id, at_s, trust, reason, detail, cti, order_id, operator, ledger_id,"
            " decode_ms, total_ms, shown, facts, p.document"
            " FROM journal j LEFT JOIN policy p ON p.no = j.policy_no"
            " WHERE j.id > ? ORDER BY j.id LIMIT ?",
            (after_id, limit),
        ).fetchall()
    return [
        JournalRow(
            id=row[0],
            at=Instant(unix_s=row[1], trust=ClockTrust(row[2])),
            reason=row[3],
            detail=row[4],
            cti=row[5],
            order_id=row[6],
            operator=row[7],
            ledger_id=row[8],
            decode_ms=row[9],
            total_ms=row[10],
            shown=row[11],
            facts=row[12],
            policy=row[13],
        )
        for row in found
    ]
