"""The persisted time floor: it is at least this late, whatever the wall clock says."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import Final

from edge.store import outbox
from edge.store.database.store import FILE, Store, quarantines
from edge.values.instant import Instant

_DAY_S: Final = 86_400


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


class ResetResult(Enum):
    """What came of an order to give up a floor."""

    DONE = "done"
    EARLIER = "earlier"  # the floor is no such one
    TAKEN = "taken"  # an order signed then, or later, was taken before


def lower_time_floor(
    folder: Path, *, wrong_s: int, floor_s: int, reason: str, now: Instant, event_id: str
) -> ResetResult:
    """Give up a floor of ``wrong_s`` or later for ``floor_s``, when the order was signed, and tell the platform.

    The caller has verified who says so. An order is taken once, and none that was signed before it afterwards. What
    was written by the wrong time is given up with the floor: when the platform was heard, lock-outs beyond a day,
    who is signed in. Processes that hold the store still go by the old floor and would persist it again, so they are
    made to start anew, as after a quarantine. Raises OSError, StoreUnavailableError.
    """
    with closing(Store(folder / FILE)) as store, store.read() as connection:
        refused = _refused(connection, wrong_s, floor_s)
    if refused is not None:
        return refused
    with quarantines(folder) as count:
        count[0] = (count[0] + 1) % 256  # from here on they commit nothing
    with closing(Store(folder / FILE)) as store, store.transaction() as connection:
        (before_s,) = connection.execute("SELECT time_floor_s FROM device").fetchone()
        connection.execute(
            "UPDATE device SET time_floor_s = ?, floor_order_s = ?", (floor_s, floor_s)
        )
        connection.execute("UPDATE feed SET heard_s = min(heard_s, ?)", (floor_s,))
        connection.execute(
            "UPDATE pin_attempt SET locked_until_s = min(locked_until_s, ?)", (floor_s + _DAY_S,)
        )
        for table in ("session", "badge_shown", "asked"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants
        body = {"previous_floor": before_s, "new_floor": floor_s, "reason": reason}
        outbox.append(connection, type="clock_reset", body=body, now=now, id=event_id)
    return ResetResult.DONE


def _refused(connection: sqlite3.Connection, wrong_s: int, floor_s: int) -> ResetResult | None:
    before_s, taken_s = connection.execute(
        "SELECT time_floor_s, floor_order_s FROM device"
    ).fetchone()
    if floor_s <= taken_s:
        return ResetResult.TAKEN
    return ResetResult.EARLIER if before_s < wrong_s else None


def probe(store: Store) -> None:
    """Write the same floor again: raises StoreUnavailableError while nothing can be written."""
    with store.transaction() as connection:
        connection.execute("UPDATE device SET time_floor_s = time_floor_s")
