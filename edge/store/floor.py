"""The persisted time floor: it is at least this late, whatever the wall clock says."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from edge.instant import Instant
from edge.store import outbox
from edge.store.store import FILE, Store, quarantines


def time_floor_s(store: Store) -> int:
    """The floor in Unix seconds: of the build, of verified documents, of what ``raise_time_floor`` was told."""
    with store.read() as connection:
        return int(connection.execute("SELECT time_floor_s FROM device").fetchone()[0])


def raise_time_floor(store: Store, unix_s: int) -> None:
    """Persist a later floor; an earlier one changes nothing. For a daemon's tick, about once a minute."""
    if unix_s <= time_floor_s(store):
        return
    with store.transaction() as connection:
        connection.execute("UPDATE device SET time_floor_s = max(time_floor_s, ?)", (unix_s,))


def lower_time_floor(folder: Path, *, wrong_s: int, floor_s: int, reason: str, now: Instant, event_id: str) -> bool:
    """Give up a floor of ``wrong_s`` or later for ``floor_s``, and tell the platform. False: the floor is no such one.

    The caller has verified who says so. Processes that hold the store still go by the old floor and would persist it
    again, so they are made to start anew, as after a quarantine. Raises OSError, StoreUnavailableError.
    """
    with closing(Store(folder / FILE)) as store:
        if time_floor_s(store) < wrong_s:
            return False
    with quarantines(folder) as count:
        count[0] = (count[0] + 1) % 256  # from here on they commit nothing
    with closing(Store(folder / FILE)) as store, store.transaction() as connection:
        (before_s,) = connection.execute("SELECT time_floor_s FROM device").fetchone()
        connection.execute("UPDATE device SET time_floor_s = ?", (floor_s,))
        body = {"floor_was": before_s, "floor": floor_s, "reason": reason}
        outbox.append(connection, type="clock", body=body, now=now, id=event_id)
    return True


def probe(store: Store) -> None:
    """Write the same floor again: raises StoreUnavailableError while nothing can be written."""
    with store.transaction() as connection:
        connection.execute("UPDATE device SET time_floor_s = time_floor_s")
