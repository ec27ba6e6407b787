"""Epochs: numberings of events. A device begins a new one when its numbers are not its own.

That is so after an old copy of the store was put back, or when a second device uses it. What the
platform already has under other numbers stays; where it has *other* events under a number, the
event is sent again in the new epoch, so nothing is lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.domain.upload_refusal import UploadRefusal
from edge.store.database.chunks import Chunks
from edge.store.database.store import Store
from edge.store.exception_cases import raise_case
from edge.store.ledger_restore import want_restore
from edge.store.outbox import find_epoch
from edge.values.instant import Instant


def begin_epoch(
    connection: sqlite3.Connection, *, why: str, now_s: int, random_bytes: Callable[[int], bytes]
) -> int:
    """Begin an epoch in the caller's transaction; return its number. ``why`` is for people."""
    row = (random_bytes(8).hex(), now_s, why)
    cursor = connection.execute("INSERT INTO epoch (epoch, began_s, why) VALUES (?, ?, ?)", row)
    return int(cursor.lastrowid or 0)


def end_epoch(
    store: Store, epoch: str, *, why: str, now: Instant, random_bytes: Callable[[int], bytes]
) -> bool:
    """Begin a new epoch if ``epoch`` is the current one; else return False and change nothing.

    What the old epoch still has to send stays in it.
    """
    with store.transaction() as connection:
        return _end_current(connection, epoch, why=why, now=now, random_bytes=random_bytes)


def own_events(store: Store, epoch: str, ids: Mapping[int, str]) -> list[int]:
    """Return the numbers of ``epoch`` whose event has the id in ``ids`` and was not refused.

    Takes no lock. An empty id stands for any event.
    """
    with store.read() as connection:
        found = find_epoch(connection, epoch)
        if found is None:
            return []
        return [seq for seq in sorted(ids) if _is_own(connection, found.number, seq, ids[seq])]


def resend_renumbered(
    chunks: Chunks,
    epoch: str,
    ids: Mapping[int, str],
    *,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> list[int]:
    """Send events again in a later epoch because the platform has others under their numbers.

    ``ids`` maps the seq of each event of ``epoch`` to its id; an event with another id is not this
    store's own and is left alone. Ends ``epoch`` if it is the current one, and raises that as a
    case. Returns the events that were sent again; none when that was done before.
    """
    own = own_events(chunks.store, epoch, ids)
    if not own:
        return []
    reused = f"the platform has another event under {own[0]} of {epoch}"
    why = f"{UploadRefusal.SEQUENCE_REUSED}: {reused}"
    with chunks.store.transaction() as connection:
        if _end_current(connection, epoch, why=why, now=now, random_bytes=random_bytes):
            raise_case(connection, _identity_in_doubt(why, now))
    chunks.apply(own, lambda connection, seq: _move(connection, epoch, seq, now))
    return own


def _end_current(
    connection: sqlite3.Connection,
    epoch: str,
    *,
    why: str,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> bool:
    """End ``epoch`` if it is the current one. One without an event leaves no trace."""
    current = "SELECT e.no FROM device d JOIN epoch e ON e.no = d.epoch_no WHERE e.epoch = ?"
    row = connection.execute(current, (epoch,)).fetchone()
    if row is None:
        return False
    number = begin_epoch(connection, why=why, now_s=now.unix_s, random_bytes=random_bytes)
    connection.execute("UPDATE device SET epoch_no = ?", (number,))
    want_restore(connection)  # what this device did since that copy was made is missing here
    connection.execute(
        "DELETE FROM epoch WHERE no = ?1 AND acknowledged_through = 0"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE epoch_no = ?1)",
        row,
    )
    return True


def _identity_in_doubt(why: str, now: Instant) -> ExceptionCase:
    return ExceptionCase(
        kind=ExceptionKind.SYSTEM_FAULT,
        cause=f"{why}: an old copy of this store was put back, or another device has its identity",
        tried="sent again under new numbers; check that no other device uses its certificate",
        raised_s=now.unix_s,
    )


def _is_own(connection: sqlite3.Connection, epoch_no: int, seq: int, event_id: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM outbox WHERE epoch_no = ?1 AND seq = ?2 AND rejected IS NULL"
        " AND (?3 = '' OR id = ?3)",
        (epoch_no, seq, event_id),
    ).fetchone()
    return row is not None


def _move(connection: sqlite3.Connection, epoch: str, seq: int, now: Instant) -> None:
    """Write the event again at the end of the current epoch, and refuse it where it stands."""
    connection.execute(
        "INSERT INTO outbox (epoch_no, seq, id, type, body, at_s, trust)"
        " SELECT d.epoch_no,"
        " 1 + coalesce((SELECT max(seq) FROM outbox WHERE epoch_no = d.epoch_no), 0),"
        " o.id, o.type, o.body, o.at_s, o.trust"
        " FROM device d, epoch e JOIN outbox o ON o.epoch_no = e.no"
        " WHERE e.epoch = ? AND o.seq = ? AND o.rejected IS NULL",
        (epoch, seq),
    )
    connection.execute(
        "UPDATE outbox SET rejected = ?, rejected_s = ?"
        " WHERE epoch_no = (SELECT no FROM epoch WHERE epoch = ?) AND seq = ?"
        " AND rejected IS NULL",
        (UploadRefusal.SEQUENCE_REUSED.value, now.unix_s, epoch, seq),
    )
