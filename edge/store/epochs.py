"""Leave a numbering of events that is not this store's alone: an old copy was put back, or a second device uses it.

What the platform already has under other numbers stays; what it has *other* events under is sent again in the
new epoch, so that nothing is lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Final

from edge.domain.exception_case import ExceptionCase, ExceptionKind
from edge.store.database.store import Store
from edge.store.exception_cases import raise_case
from edge.values.instant import Instant


def begin_epoch(
    connection: sqlite3.Connection, *, why: str, now_s: int, random_bytes: Callable[[int], bytes]
) -> int:
    """Begin a numbering of events in the caller's transaction and return its number."""
    row = (random_bytes(8).hex(), now_s, why)
    return int(
        connection.execute(
            "INSERT INTO epoch (epoch, began_s, why) VALUES (?, ?, ?)", row
        ).lastrowid
        or 0
    )


def end_epoch(
    store: Store, epoch: str, *, why: str, now: Instant, random_bytes: Callable[[int], bytes]
) -> bool:
    """Begin a new epoch if ``epoch`` is the one that events are written in; False, and nothing changed, otherwise.

    What the old epoch still has to send stays in it.
    """
    with store.transaction() as connection:
        current = "SELECT 1 FROM device d JOIN epoch e ON e.no = d.epoch_no WHERE e.epoch = ?"
        if connection.execute(current, (epoch,)).fetchone() is None:
            return False
        number = begin_epoch(connection, why=why, now_s=now.unix_s, random_bytes=random_bytes)
        connection.execute("UPDATE device SET epoch_no = ?", (number,))
        return True


SEQUENCE_REUSED: Final = "sequence_reused"


def send_again(
    store: Store,
    epoch: str,
    numbers: Mapping[int, str],
    *,
    now: Instant,
    random_bytes: Callable[[int], bytes],
) -> int:
    """Events of ``epoch``, seq to id, whose numbers the platform has for others: send them in a later epoch.

    Leaves ``epoch`` if events are still written in it, and raises that as a case. An event that is not
    this store's own (its id differs) is left alone. Returns how many there were; 0 when they were sent again before.
    """
    with store.transaction() as connection:
        found = connection.execute("SELECT no FROM epoch WHERE epoch = ?", (epoch,)).fetchone()
        ours = (
            []
            if found is None
            else [seq for seq in sorted(numbers) if _is_ours(connection, found[0], seq, numbers)]
        )
        if not ours:
            return 0
        (current,) = connection.execute("SELECT epoch_no FROM device").fetchone()
        if current == found[0]:
            why = f"{SEQUENCE_REUSED}: the platform has another event under {ours[0]} of {epoch}"
            current = begin_epoch(connection, why=why, now_s=now.unix_s, random_bytes=random_bytes)
            connection.execute("UPDATE device SET epoch_no = ?", (current,))
            case = ExceptionCase(
                kind=ExceptionKind.SYSTEM_FAULT,
                cause=f"{why}: an old copy of this store was put back, or another device has its identity",
                tried="sent again under new numbers; see that no other device uses this one's certificate",
                raised_s=now.unix_s,
            )
            raise_case(connection, case)
        for seq in ours:
            _move(connection, found[0], seq, current, now)
        return len(ours)


def _is_ours(
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
        " SELECT ?1, 1 + coalesce((SELECT max(seq) FROM outbox WHERE epoch_no = ?1), 0), id, type, body, at_s, trust"
        " FROM outbox WHERE epoch_no = ?2 AND seq = ?3",
        (to_epoch_no, epoch_no, seq),
    )
    connection.execute(
        "UPDATE outbox SET rejected = ?, rejected_s = ? WHERE epoch_no = ? AND seq = ?",
        (SEQUENCE_REUSED, now.unix_s, epoch_no, seq),
    )
