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
from edge.store.database.store import Store
from edge.store.exception_cases import raise_case
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
        current = "SELECT 1 FROM device d JOIN epoch e ON e.no = d.epoch_no WHERE e.epoch = ?"
        if connection.execute(current, (epoch,)).fetchone() is None:
            return False
        _begin_current(connection, why=why, now=now, random_bytes=random_bytes)
        return True


def resend_renumbered(
    store: Store,
    epoch: str,
    numbers: Mapping[int, str],
    *,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> int:
    """Send events again in a later epoch because the platform has others under their numbers.

    ``numbers`` maps the seq of each event of ``epoch`` to its id; an event with another id is not
    this store's own and is left alone. Ends ``epoch`` if it is the current one, and raises that as
    a case. Returns how many events there were; 0 when they were sent again before.
    """
    with store.transaction() as connection:
        found = find_epoch(connection, epoch)
        if found is None:
            return 0
        own = [seq for seq in sorted(numbers) if _is_own(connection, found.number, seq, numbers)]
        if not own:
            return 0
        (current,) = connection.execute("SELECT epoch_no FROM device").fetchone()
        if current == found.number:
            reused = f"the platform has another event under {own[0]} of {epoch}"
            why = f"{UploadRefusal.SEQUENCE_REUSED}: {reused}"
            current = _begin_current(connection, why=why, now=now, random_bytes=random_bytes)
            raise_case(connection, _identity_in_doubt(why, now))
        for seq in own:
            _move(connection, found.number, seq, current, now)
        return len(own)


def _begin_current(
    connection: sqlite3.Connection,
    *,
    why: str,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> int:
    number = begin_epoch(connection, why=why, now_s=now.unix_s, random_bytes=random_bytes)
    connection.execute("UPDATE device SET epoch_no = ?", (number,))
    return number


def _identity_in_doubt(why: str, now: Instant) -> ExceptionCase:
    return ExceptionCase(
        kind=ExceptionKind.SYSTEM_FAULT,
        cause=f"{why}: an old copy of this store was put back, or another device has its identity",
        tried="sent again under new numbers; check that no other device uses its certificate",
        raised_s=now.unix_s,
    )


def _is_own(
    connection: sqlite3.Connection, epoch_no: int, seq: int, numbers: Mapping[int, str]
) -> bool:
    row = connection.execute(
        "SELECT 1 FROM outbox WHERE epoch_no = ? AND seq = ? AND rejected IS NULL AND id = ?",
        (epoch_no, seq, numbers[seq]),
    ).fetchone()
    return row is not None


def _move(
    connection: sqlite3.Connection, epoch_no: int, seq: int, to_epoch_no: int, now: Instant
) -> None:
    connection.execute(
        "INSERT INTO outbox (epoch_no, seq, id, type, body, at_s, trust)"
        " SELECT ?1, 1 + coalesce((SELECT max(seq) FROM outbox WHERE epoch_no = ?1), 0),"
        " id, type, body, at_s, trust FROM outbox WHERE epoch_no = ?2 AND seq = ?3",
        (to_epoch_no, epoch_no, seq),
    )
    connection.execute(
        "UPDATE outbox SET rejected = ?, rejected_s = ? WHERE epoch_no = ? AND seq = ?",
        (UploadRefusal.SEQUENCE_REUSED.value, now.unix_s, epoch_no, seq),
    )
