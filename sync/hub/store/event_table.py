"""Events as devices sent them: the tables ``stream``, ``event`` and ``sequence_conflict``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sync.hub.store.interface import HubConnection
from sync.wire.messages import BadEvent, Event

COLUMNS: Final = (
    "dev",
    "epoch",
    "seq",
    "id",
    "type",
    "ts",
    "ts_trust",
    "body",
    "received_s",
    "refused",
)
UNREADABLE: Final = "unreadable"  # the type of an event that could not be read
_LISTED: Final = ", ".join(COLUMNS)


def insert_event(
    connection: HubConnection,
    dev: str,
    epoch: str,
    event: Event,
    *,
    body: str,
    refused: str | None,
    received_s: int,
) -> bool:
    """Insert an event with its ``body`` as JSON. Return False when its number is taken."""
    row = (
        dev,
        epoch,
        event.seq,
        event.id,
        event.type,
        event.ts,
        event.ts_trust,
        body,
        received_s,
        refused,
    )
    inserted = connection.execute(
        "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row
    )
    return inserted.rowcount == 1


def insert_unreadable(
    connection: HubConnection, dev: str, epoch: str, bad: BadEvent, *, received_s: int
) -> bool:
    """Insert an unreadable event as it was received. Return False when its number is taken."""
    inserted = connection.execute(
        "INSERT INTO event VALUES (?, ?, ?, '', ?, 0, 'floor_only', ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (dev, epoch, bad.seq, UNREADABLE, bad.raw, received_s, bad.reason),
    )
    return inserted.rowcount == 1


def event_id(connection: HubConnection, dev: str, epoch: str, seq: int) -> str:
    """Return the id of the event that has this number. There must be one."""
    row = connection.execute(
        "SELECT id FROM event WHERE dev = ? AND epoch = ? AND seq = ?", (dev, epoch, seq)
    ).fetchone()
    return str(row[0])


def insert_sequence_conflict(
    connection: HubConnection, dev: str, epoch: str, event: Event, *, received_s: int
) -> None:
    """Insert an event whose number belongs to another event."""
    connection.execute(
        "INSERT INTO sequence_conflict VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (dev, epoch, event.seq, event.id, event.model_dump_json(), received_s),
    )


def refused_events(
    connection: HubConnection, dev: str, epoch: str, *, after_seq: int, limit: int
) -> list[tuple[int, str, str, str]]:
    """Return seq, type, id and reason of the refused events after ``after_seq``, in order."""
    rows = connection.execute(
        "SELECT seq, type, id, refused FROM event"
        " WHERE dev = ? AND epoch = ? AND refused IS NOT NULL AND seq > ? ORDER BY seq LIMIT ?",
        (dev, epoch, after_seq, limit),
    )
    return rows.fetchall()


def numbers_after(
    connection: HubConnection, dev: str, epoch: str, seq: int, *, limit: int
) -> list[int]:
    """Return the numbers of the events after ``seq``, in order."""
    rows = connection.execute(
        "SELECT seq FROM event WHERE dev = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
        (dev, epoch, seq, limit),
    )
    return [number for (number,) in rows.fetchall()]


def committed_through(connection: HubConnection, dev: str, epoch: str) -> int | None:
    """Return the acknowledged number of a stream; None for an unknown stream."""
    row = connection.execute(
        "SELECT committed_through FROM stream WHERE dev = ? AND epoch = ?", (dev, epoch)
    ).fetchone()
    return None if row is None else int(row[0])


def set_committed_through(connection: HubConnection, dev: str, epoch: str, through: int) -> None:
    """Write the acknowledged number of a stream."""
    connection.execute(
        "INSERT INTO stream (dev, epoch, committed_through) VALUES (?, ?, ?)"
        " ON CONFLICT (dev, epoch) DO UPDATE SET committed_through = excluded.committed_through",
        (dev, epoch, through),
    )


def raise_committed_through(
    connection: HubConnection, streams: Iterable[tuple[str, str, int]]
) -> None:
    """Raise the acknowledged number of streams (device, epoch, through), and never lower one."""
    connection.executemany(
        "INSERT INTO stream (dev, epoch, committed_through) VALUES (?, ?, ?)"
        " ON CONFLICT (dev, epoch) DO UPDATE SET committed_through = excluded.committed_through"
        " WHERE excluded.committed_through > stream.committed_through",
        streams,
    )


def streams_of(connection: HubConnection, dev: str) -> dict[str, int]:
    """Return the epochs of a device, in order, with the acknowledged number of each."""
    rows = connection.execute(
        "SELECT epoch, committed_through FROM stream WHERE dev = ? ORDER BY epoch", (dev,)
    )
    return dict(rows.fetchall())


def all_streams(connection: HubConnection) -> list[tuple[str, str, int]]:
    """Return device, epoch and acknowledged number of every stream."""
    return connection.execute("SELECT dev, epoch, committed_through FROM stream").fetchall()


def all_events(connection: HubConnection, dev: str | None) -> Iterable[tuple[Any, ...]]:
    """Return the events, or those of ``dev``, as ``COLUMNS``; by device, epoch and number."""
    return connection.execute(
        f"SELECT {_LISTED} FROM event WHERE ? IN ('', dev) ORDER BY dev, epoch, seq",  # noqa: S608 - constants
        (dev or "",),  # no device has an empty name
    )


def count_refused(connection: HubConnection, dev: str) -> int:
    """Return how many events of a device were refused."""
    row = connection.execute(
        "SELECT count(*) FROM event WHERE dev = ? AND refused IS NOT NULL", (dev,)
    ).fetchone()
    return int(row[0])


def count_sequence_conflicts(connection: HubConnection, dev: str) -> int:
    """Return how many events of a device had a number that belongs to another event."""
    return int(
        connection.execute(
            "SELECT count(*) FROM sequence_conflict WHERE dev = ?", (dev,)
        ).fetchone()[0]
    )


def newest_refused(
    connection: HubConnection, limit: int
) -> list[tuple[int, str, int, str, str, str]]:
    """Return received_s, device, seq, type, reason and body of the newest refused events."""
    rows = connection.execute(
        "SELECT received_s, dev, seq, type, refused, body FROM event WHERE refused IS NOT NULL"
        " ORDER BY received_s DESC LIMIT ?",
        (limit,),
    )
    return rows.fetchall()


def newest_sequence_conflicts(connection: HubConnection, limit: int) -> list[tuple[int, str, int]]:
    """Return received_s, device and seq of the newest such conflicts."""
    rows = connection.execute(
        "SELECT received_s, dev, seq FROM sequence_conflict ORDER BY received_s DESC LIMIT ?",
        (limit,),
    )
    return rows.fetchall()


def newest_pickups(connection: HubConnection, limit: int) -> list[tuple[int, str, str]]:
    """Return received_s, device and body of the newest pickup events that have an effect."""
    rows = connection.execute(
        "SELECT received_s, dev, body FROM event WHERE type = 'pickup' AND refused IS NULL"
        " ORDER BY received_s DESC LIMIT ?",
        (limit,),
    )
    return rows.fetchall()
