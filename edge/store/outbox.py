"""Events that the platform has not acknowledged, gapless by ``seq`` within an epoch.

``append`` runs in the transaction of what the event reports, so that neither exists without the
other. The platform acknowledges through a seq (``acknowledge``), refuses single events
(``edge.store.refused_events``), and asks for events again after a restored backup (``rewind``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from edge.domain.upload_refusal import LOST
from edge.store.database.store import Store
from edge.values.instant import ClockTrust, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One event, as it is sent."""

    epoch: str
    seq: int
    id: str  # UUIDv7
    type: str
    body: dict[str, Any] | None  # None: what is stored cannot be read, and so never be sent
    at: Instant
    rejected: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits for the platform. ``MOST_COUNTED`` refused events are counted at most."""

    pending: int
    rejected: int
    oldest_s: int | None  # Unix seconds of the first event that waits


class AcknowledgeResult(StrEnum):
    """What an acknowledgement changed."""

    ACKNOWLEDGED = "acknowledged"
    ALREADY = "already"
    UNKNOWN_EPOCH = "unknown_epoch"  # of an earlier store: there is nothing to acknowledge
    AHEAD = "ahead"  # the platform has events that this store never wrote: an old copy is in use


_to_json = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, check_circular=False
).encode  # an event's body as text

MOST_COUNTED: Final = 1000  # a count costs time each second, and more helps nobody

_FIRST: Final = """
    FROM outbox o INDEXED BY outbox_waiting
    WHERE o.epoch_no = e.no AND o.seq > e.acknowledged_through AND o.rejected IS NULL
"""
ANY_WAITING: Final = f"EXISTS (SELECT 1 FROM epoch e WHERE EXISTS (SELECT 1 {_FIRST}))"
_OLDEST_WAITING: Final = (
    f"SELECT no FROM epoch e WHERE EXISTS (SELECT 1 {_FIRST}) ORDER BY no LIMIT 1"
)
_PENDING: Final = """
    SELECT e.epoch, o.seq, o.id, o.type, o.body, o.at_s, o.trust
    FROM epoch e CROSS JOIN outbox o INDEXED BY outbox_waiting
    WHERE e.no = ? AND o.epoch_no = e.no AND o.seq > max(e.acknowledged_through, ?)
      AND o.rejected IS NULL
    ORDER BY o.seq LIMIT ?
"""
# Numbers have no gap, so what waits is a difference, less the few that were refused.
_BACKLOG: Final = f"""
    SELECT (SELECT max(seq) FROM outbox WHERE epoch_no = e.no) - e.acknowledged_through,
      (SELECT count(*) FROM (SELECT 1 FROM outbox INDEXED BY outbox_refused
        WHERE epoch_no = e.no AND seq > e.acknowledged_through AND rejected IS NOT NULL
        LIMIT {MOST_COUNTED})),
      (SELECT at_s {_FIRST} ORDER BY o.seq LIMIT 1)
    FROM epoch e
"""
_REFUSED: Final = f"""
    SELECT count(*) FROM (SELECT 1 FROM outbox INDEXED BY outbox_refused
      WHERE rejected IS NOT NULL LIMIT {MOST_COUNTED})
"""


class OutboxPlace(NamedTuple):
    """The key of an event. The next one's holds only in the transaction that read it."""

    epoch_no: int
    seq: int


class EpochState(NamedTuple):
    """How far a numbering of events has come."""

    number: int
    acknowledged_through: int
    newest_seq: int  # 0: no event yet


def next_place(connection: sqlite3.Connection) -> OutboxPlace:
    """Return where the next event will stand, in the caller's transaction."""
    row = connection.execute(
        "SELECT epoch_no, 1 + coalesce("
        "(SELECT max(seq) FROM outbox o WHERE o.epoch_no = d.epoch_no), 0) FROM device d"
    ).fetchone()
    return OutboxPlace(*row)


def append(
    connection: sqlite3.Connection, *, type: str, body: Mapping[str, Any], now: Instant, id: str
) -> int:
    """Write an event in the caller's transaction; return its seq. ``body`` is a JSON object."""
    place = next_place(connection)
    append_at(connection, place, type=type, body=body, now=now, id=id)
    return place.seq


def append_at(
    connection: sqlite3.Connection,
    place: OutboxPlace,
    *,
    type: str,
    body: Mapping[str, Any],
    now: Instant,
    id: str,
) -> None:
    """Write an event at the ``next_place`` that was read in this transaction."""
    connection.execute(
        "INSERT INTO outbox (epoch_no, seq, id, type, body, at_s, trust)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*place, id, type, _to_json(body), now.unix_s, now.trust.value),
    )


def event_body(connection: sqlite3.Connection, place: OutboxPlace, *, type: str) -> str | None:
    """Return the JSON body of the event at ``place`` if it is of ``type``, else None."""
    row = connection.execute(
        "SELECT body FROM outbox WHERE epoch_no = ? AND seq = ? AND type = ?", (*place, type)
    ).fetchone()
    return None if row is None else str(row[0])


def is_decision_refused(connection: sqlite3.Connection, decision: str) -> bool:
    """Return whether an event has reported that the platform's ``decision`` has no effect here."""
    row = connection.execute(
        "SELECT 1 FROM outbox INDEXED BY outbox_decision"
        " WHERE type = 'review_refused' AND body ->> '$.decision' = ?",
        (decision,),
    ).fetchone()
    return row is not None


def pending(store: Store, *, after_seq: int = 0, limit: int = 64) -> list[OutboxRow]:
    """Return the next events to send, oldest first, all of the oldest epoch that has any.

    ``after_seq`` skips events that are in flight; it counts within that epoch.
    """
    with store.read() as connection:
        oldest = connection.execute(_OLDEST_WAITING).fetchone()
        if oldest is None:
            return []
        return [_row(row) for row in connection.execute(_PENDING, (*oldest, after_seq, limit))]


def lost_numbers(store: Store, epoch: str, *, after_seq: int, before_seq: int) -> list[int]:
    """Return the numbers between two others whose events were lost with an earlier store."""
    with store.read() as connection:
        rows = connection.execute(
            "SELECT seq FROM outbox WHERE epoch_no = (SELECT no FROM epoch WHERE epoch = ?)"
            " AND seq > ? AND seq < ? AND rejected = ?",
            (epoch, after_seq, before_seq, LOST),
        ).fetchall()
    return [seq for (seq,) in rows]


def acknowledge(store: Store, *, epoch: str, through_seq: int) -> AcknowledgeResult:
    """Record that the platform has every event of ``epoch`` through ``through_seq``."""
    with store.transaction() as connection:
        found = find_epoch(connection, epoch)
        if found is None:
            return AcknowledgeResult.UNKNOWN_EPOCH
        if through_seq > found.newest_seq:
            return AcknowledgeResult.AHEAD
        if through_seq <= found.acknowledged_through:
            return AcknowledgeResult.ALREADY
        connection.execute(
            "UPDATE epoch SET acknowledged_through = ? WHERE no = ?", (through_seq, found.number)
        )
        return AcknowledgeResult.ACKNOWLEDGED


def rewind(store: Store, *, epoch: str, to_seq: int) -> bool:
    """Send again what follows ``to_seq``, which the platform lost; False for an unknown epoch."""
    with store.transaction() as connection:
        changed = connection.execute(
            "UPDATE epoch SET acknowledged_through = min(acknowledged_through, ?) WHERE epoch = ?",
            (max(to_seq, 0), epoch),
        )
        return changed.rowcount == 1


def backlog(store: Store) -> Backlog:
    """Return how many events wait, how many were refused, and since when the oldest waits.

    Costs the same whatever the outbox holds: both processes ask each second.
    """
    with store.read() as connection:
        waiting = [row for row in connection.execute(_BACKLOG) if row[2] is not None]
        (refused,) = connection.execute(_REFUSED).fetchone()
    return Backlog(
        pending=sum(newer - skipped for newer, skipped, _ in waiting),
        rejected=refused,
        oldest_s=min((at_s for _, _, at_s in waiting), default=None),
    )


def current_epoch(store: Store) -> tuple[str, int]:
    """Return the epoch that events are written in, and its newest seq (0: none yet)."""
    with store.read() as connection:
        row = connection.execute(
            "SELECT e.epoch, coalesce((SELECT max(seq) FROM outbox WHERE epoch_no = e.no), 0)"
            " FROM device d JOIN epoch e ON e.no = d.epoch_no"
        ).fetchone()
    return row[0], row[1]


def epochs_before(store: Store) -> list[tuple[str, int]]:
    """Return the earlier epochs and what is acknowledged of each, oldest first."""
    with store.read() as connection:
        return connection.execute(
            "SELECT epoch, acknowledged_through FROM epoch"
            " WHERE no <> (SELECT epoch_no FROM device) AND acknowledged_through > 0 ORDER BY no"
        ).fetchall()


def acknowledged_through(store: Store, epoch: str) -> int:
    """Return the seq through which the platform has ``epoch``; 0 for an unknown epoch."""
    with store.read() as connection:
        row = connection.execute(
            "SELECT acknowledged_through FROM epoch WHERE epoch = ?", (epoch,)
        ).fetchone()
    return int(row[0]) if row else 0


def find_epoch(connection: sqlite3.Connection, epoch: str) -> EpochState | None:
    """Return how far ``epoch`` has come, in the caller's transaction; None if it is unknown."""
    row = connection.execute(
        "SELECT no, acknowledged_through,"
        " coalesce((SELECT max(seq) FROM outbox WHERE epoch_no = no), 0)"
        " FROM epoch WHERE epoch = ?",
        (epoch,),
    ).fetchone()
    return None if row is None else EpochState(*row)


def _row(row: tuple[str, int, str, str, str, int, str]) -> OutboxRow:
    epoch, seq, event_id, kind, text, at_s, trust = row
    try:
        body, at = json.loads(text), Instant(unix_s=at_s, trust=ClockTrust(trust))
    except (ValueError, RecursionError):  # a damaged disk: the events behind it must not wait
        body, at = None, Instant(unix_s=at_s, trust=ClockTrust.FLOOR_ONLY)
    return OutboxRow(epoch=epoch, seq=seq, id=event_id, type=kind, body=body, at=at)
