"""Events the platform has not acknowledged, gapless by ``seq`` within an epoch.

``append`` runs in the transaction of what it tells, so that neither exists without the
other. The platform acknowledges through a seq (``settle``), refuses one by one (``reject``:
kept, raised as an exception, blocking nothing), and may ask again (``rewind``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.store import authorisations
from edge.store.database.store import Store
from edge.store.exception_cases import raise_case
from edge.values.instant import ClockTrust, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One event, as the wire needs it."""

    epoch: str
    seq: int
    id: str  # UUIDv7
    type: str
    body: dict[str, Any]
    at: Instant
    rejected: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits for the platform."""

    pending: int
    rejected: int
    oldest_s: int | None  # Unix seconds of the oldest event that waits


class SettleResult(StrEnum):
    """What became of an acknowledgement."""

    SETTLED = "settled"
    ALREADY = "already"
    UNKNOWN_EPOCH = "unknown_epoch"  # of a store that was here before: nothing to settle
    AHEAD = "ahead"  # the platform knows events this store never wrote: an old copy was restored


RETRY_OF = "retry_of"  # in a body: the id of the refused event that this one takes the place of
REDEMPTION_EVENT = "redemption_event"  # in a body: the id of the event that first told the redemption that this one is about

_to_json = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, check_circular=False
).encode  # an event's body as text

_PENDING = """
    SELECT e.epoch, o.seq, o.id, o.type, o.body, o.at_s, o.trust
    FROM outbox o JOIN epoch e ON e.no = o.epoch_no
    WHERE o.epoch_no = ? AND o.seq > max(e.settled_through, ?) AND o.rejected IS NULL
    ORDER BY o.seq LIMIT ?
"""


class OutboxPlace(NamedTuple):
    """Where the next event will stand. True only within the transaction that read it."""

    epoch_no: int
    seq: int


def next_place(connection: sqlite3.Connection) -> OutboxPlace:
    """Where the next event will stand, in the caller's transaction."""
    row = connection.execute(
        "SELECT epoch_no, 1 + coalesce((SELECT max(seq) FROM outbox o WHERE o.epoch_no = d.epoch_no), 0) FROM device d"
    ).fetchone()
    return OutboxPlace(*row)


def append(
    connection: sqlite3.Connection, *, type: str, body: Mapping[str, Any], now: Instant, id: str
) -> int:
    """Write an event in the caller's transaction and return its seq. ``body`` holds what JSON holds."""
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
    """As ``append``, at the place that was read in this transaction."""
    connection.execute(
        "INSERT INTO outbox (epoch_no, seq, id, type, body, at_s, trust) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*place, id, type, _to_json(body), now.unix_s, now.trust.value),
    )


def pending(store: Store, *, after_seq: int = 0, limit: int = 64) -> list[OutboxRow]:
    """The next events to send, oldest first, all of one epoch: the oldest that has any.

    ``after_seq`` skips what is in flight already; it counts within that epoch.
    """
    with store.read() as connection:
        epochs = connection.execute("SELECT no FROM epoch ORDER BY no").fetchall()
        for (number,) in epochs:
            rows = connection.execute(_PENDING, (number, after_seq, limit)).fetchall()
            if rows or connection.execute(_PENDING, (number, 0, 1)).fetchone():
                return [_row(row) for row in rows]
    return []


def settle(store: Store, *, epoch: str, through_seq: int) -> SettleResult:
    """The platform has every event of ``epoch`` up to ``through_seq``."""
    with store.transaction() as connection:
        found = _epoch(connection, epoch)
        if found is None:
            return SettleResult.UNKNOWN_EPOCH
        number, settled_through, newest = found
        if through_seq > newest:
            return SettleResult.AHEAD
        if through_seq <= settled_through:
            return SettleResult.ALREADY
        connection.execute(
            "UPDATE epoch SET settled_through = ? WHERE no = ?", (through_seq, number)
        )
        return SettleResult.SETTLED


def rewind(store: Store, *, epoch: str, to_seq: int) -> bool:
    """The platform lost what came after ``to_seq`` (a restored backup): send it again. False: unknown epoch."""
    with store.transaction() as connection:
        changed = connection.execute(
            "UPDATE epoch SET settled_through = min(settled_through, ?) WHERE epoch = ?",
            (max(to_seq, 0), epoch),
        )
        return changed.rowcount == 1


def reject(store: Store, *, epoch: str, seq: int, reason: str, now: Instant, id: str = "") -> bool:
    """The platform will not have this event: set it aside and raise it. False when it is unknown or was rejected.

    ``id``, where it is known, is the event's: another event under that number is left alone.
    """
    with store.transaction() as connection:
        found = _epoch(connection, epoch)
        if found is None:
            return False
        changed = connection.execute(
            "UPDATE outbox SET rejected = ?1, rejected_s = ?2 WHERE epoch_no = ?3 AND seq = ?4 AND rejected IS NULL"
            " AND (?5 = '' OR id = ?5)",
            (reason, now.unix_s, found[0], seq, id),
        )
        if changed.rowcount == 0:
            return False
        authorisations.mark_unreported(connection, found[0], seq)
        cti, order, ledger_id = _about(connection, found[0], seq)
        case = ExceptionCase(
            kind=ExceptionKind.UPLOAD_REFUSED,
            cause=_cause(epoch, seq, reason),
            tried="sent to the platform",
            cti=cti,
            order_id=order,
            ledger_id=ledger_id,
            raised_s=now.unix_s,
        )
        raise_case(connection, case)
        return True


class RefusedEvent(NamedTuple):
    """An event that the platform refused, set aside."""

    place: OutboxPlace
    id: str
    type: str
    reason: str
    body: dict[str, Any]
    at: Instant


def refused_event(connection: sqlite3.Connection, cause: str) -> RefusedEvent | None:
    """The event that a case of this ``cause`` is about, in the caller's transaction; None when it is not here."""
    rows = connection.execute(
        "SELECT o.epoch_no, o.seq, o.id, o.type, o.rejected, o.body, o.at_s, o.trust, e.epoch"
        " FROM outbox o JOIN epoch e ON e.no = o.epoch_no WHERE o.rejected IS NOT NULL"
    )
    for epoch_no, seq, identity, kind, reason, body, at_s, trust, epoch in rows:
        if _cause(epoch, seq, reason) == cause:
            at = Instant(unix_s=at_s, trust=ClockTrust(trust))
            return RefusedEvent(
                OutboxPlace(epoch_no, seq), identity, kind, reason, json.loads(body), at
            )
    return None


def retry(connection: sqlite3.Connection, refused: RefusedEvent, *, id: str) -> int:
    """Send what was refused again, as a new event that names it, in the caller's transaction; return its seq.

    It tells the same of the same moment. The refused one stays as it is: the platform has it under its number.
    """
    authorisations.mark_reported(connection, *refused.place)
    body = {**refused.body, RETRY_OF: refused.id}
    if refused.type == "redeemed" and RETRY_OF in refused.body:
        body.setdefault(REDEMPTION_EVENT, refused.body[RETRY_OF])
    return append(connection, type=refused.type, body=body, now=refused.at, id=id)


def _cause(epoch: str, seq: int, reason: str) -> str:
    return f"event {seq} of {epoch}: {reason}"


def _about(
    connection: sqlite3.Connection, epoch_no: int, seq: int
) -> tuple[bytes | None, str | None, int | None]:
    """The code, the order and the ledger's row that an event tells of."""
    place = (epoch_no, seq)
    kind, text = connection.execute(
        "SELECT type, body FROM outbox WHERE epoch_no = ? AND seq = ?", place
    ).fetchone()
    row = connection.execute(
        "SELECT cti, order_id, id FROM ledger WHERE epoch_no = ? AND seq = ?", place
    ).fetchone()
    if row is not None:
        return row[0], row[1], row[2]
    body = json.loads(text)  # it may have been refused for what stands in it
    order, use_no = body.get("order"), body.get("use")
    try:
        cti = bytes.fromhex(body["cti"]) if body.get("cti") else None
    except (TypeError, ValueError):
        cti = None
    if (
        kind == "redeemed" and isinstance(use_no, int) and 0 < use_no < 2**53
    ):  # told under another number before
        row = connection.execute(
            "SELECT id FROM ledger WHERE cti = ? AND use_no = ?", (cti, use_no)
        ).fetchone()
    return cti, order if isinstance(order, str) else None, None if row is None else row[0]


def backlog(store: Store) -> Backlog:
    """How many events wait, how many were refused, and since when the oldest waits."""
    with store.read() as connection:
        waits = "FROM outbox o JOIN epoch e ON e.no = o.epoch_no WHERE o.seq > e.settled_through AND o.rejected IS NULL"
        count, oldest_s = connection.execute(f"SELECT count(*), min(o.at_s) {waits}").fetchone()
        (refused,) = connection.execute(
            "SELECT count(*) FROM outbox WHERE rejected IS NOT NULL"
        ).fetchone()
    return Backlog(pending=count, rejected=refused, oldest_s=oldest_s)


def current_epoch(store: Store) -> tuple[str, int]:
    """The epoch that events are written in, and its newest seq (0: none yet)."""
    with store.read() as connection:
        row = connection.execute(
            "SELECT e.epoch, coalesce((SELECT max(seq) FROM outbox WHERE epoch_no = e.no), 0)"
            " FROM device d JOIN epoch e ON e.no = d.epoch_no"
        ).fetchone()
    return row[0], row[1]


def epochs_before(store: Store) -> list[tuple[str, int]]:
    """The epochs that this store has left and what the platform has of each, oldest first."""
    with store.read() as connection:
        return connection.execute(
            "SELECT epoch, settled_through FROM epoch WHERE no <> (SELECT epoch_no FROM device) AND settled_through > 0"
            " ORDER BY no"
        ).fetchall()


def settled_through(store: Store, epoch: str) -> int:
    """The platform has every event of ``epoch`` up to this seq; 0 for an epoch that is not known."""
    with store.read() as connection:
        row = connection.execute(
            "SELECT settled_through FROM epoch WHERE epoch = ?", (epoch,)
        ).fetchone()
    return int(row[0]) if row else 0


def _epoch(connection: sqlite3.Connection, epoch: str) -> tuple[int, int, int] | None:
    row: tuple[int, int, int] | None = connection.execute(
        "SELECT no, settled_through, coalesce((SELECT max(seq) FROM outbox WHERE epoch_no = no), 0)"
        " FROM epoch WHERE epoch = ?",
        (epoch,),
    ).fetchone()
    return row


def _row(row: tuple[str, int, str, str, str, int, str]) -> OutboxRow:
    epoch, seq, identity, kind, body, at_s, trust = row
    at = Instant(unix_s=at_s, trust=ClockTrust(trust))
    return OutboxRow(epoch=epoch, seq=seq, id=identity, type=kind, body=json.loads(body), at=at)
