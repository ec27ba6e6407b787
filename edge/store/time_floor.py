"""The persisted time floor: the time is at least this, whatever the wall clock says."""

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
    """Return the latest of the build time, the verified documents' times and the raised floors.

    In Unix seconds.
    """
    with store.read() as connection:
        return int(connection.execute("SELECT time_floor_s FROM device").fetchone()[0])


def raise_time_floor(store: Store, unix_s: int) -> None:
    """Persist a later floor; an earlier one changes nothing. The scanner calls it every minute."""
    if unix_s <= time_floor_s(store):
        return
    with store.transaction() as connection:
        connection.execute("UPDATE device SET time_floor_s = max(time_floor_s, ?)", (unix_s,))


class ResetResult(Enum):
    """The outcome of an order to lower a floor."""

    DONE = "done"
    NOT_WRONG = "not_wrong"  # the floor is before the one that the order calls wrong
    SUPERSEDED = "superseded"  # an order signed then, or later, was carried out before


def lower_time_floor(
    folder: Path, *, wrong_s: int, floor_s: int, reason: str, now: Instant, event_id: str
) -> ResetResult:
    """Lower a floor of ``wrong_s`` or later to ``floor_s``, the time of the order, and report it.

    The caller has verified the order. An order is carried out once, and none that was signed before
    it afterwards. What was written by the wrong time goes with the floor: the last contact with the
    platform, lock-outs beyond a day, the session. Processes that hold the store still have the old
    floor and would persist it again, so they must restart, as after a quarantine. Raises OSError
    and StoreUnavailableError.
    """
    with closing(Store(folder / FILE)) as store, store.read() as connection:
        refused = _refusal(connection, wrong_s, floor_s)
    if refused is not None:
        return refused
    with quarantines(folder) as count:
        count[0] = (count[0] + 1) % 256  # from here on they commit nothing
    with closing(Store(folder / FILE)) as store, store.transaction() as connection:
        (before_s,) = connection.execute("SELECT time_floor_s FROM device").fetchone()
        connection.execute(
            "UPDATE device SET time_floor_s = ?, floor_order_s = ?", (floor_s, floor_s)
        )
        connection.execute("UPDATE feed SET last_contact_s = min(last_contact_s, ?)", (floor_s,))
        connection.execute(
            "UPDATE pin_attempt SET locked_until_s = min(locked_until_s, ?)", (floor_s + _DAY_S,)
        )
        for table in ("session", "shown_badge", "pending_request"):
            connection.execute(f"DELETE FROM {table}")
        body = {"previous_floor": before_s, "new_floor": floor_s, "reason": reason}
        outbox.append(connection, type="clock_reset", body=body, now=now, id=event_id)
    return ResetResult.DONE


def _refusal(connection: sqlite3.Connection, wrong_s: int, floor_s: int) -> ResetResult | None:
    before_s, last_order_s = connection.execute(
        "SELECT time_floor_s, floor_order_s FROM device"
    ).fetchone()
    if floor_s <= last_order_s:
        return ResetResult.SUPERSEDED
    return ResetResult.NOT_WRONG if before_s < wrong_s else None


def probe(store: Store) -> None:
    """Write the floor unchanged. Raises StoreUnavailableError while the store cannot be written."""
    with store.transaction() as connection:
        connection.execute("UPDATE device SET time_floor_s = time_floor_s")
