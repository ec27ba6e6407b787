"""How many orders the platform may take away before a person must confirm it.

An order is *in use* while it has not expired and was not cancelled or refunded. Those that a
snapshot does not name, and those that a delta removes, are counted against what was in use when the
count began; a new count begins after a day, and when a confirmed snapshot is used.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.store.database.store import Store

WINDOW_S: Final = 86_400
_IN_USE: Final = (
    "generation >= (SELECT generation FROM feed)"
    " AND expires_at_s > ? AND status NOT IN ('cancelled', 'refunded')"
)


@dataclass(frozen=True, slots=True)
class ShrinkLimits:
    """More than this share *and* more than this number is too much."""

    percent: int = 20
    rows: int = 50

    def is_exceeded(self, dropped: int, of: int, *, comparable: bool = True) -> bool:
        """Return whether ``dropped`` orders of ``of`` are too many.

        Orders of another incarnation are not comparable: then the share alone decides.

        >>> limits = ShrinkLimits()
        >>> limits.is_exceeded(17, 17), limits.is_exceeded(17, 17, comparable=False)
        (False, True)
        >>> limits.is_exceeded(51, 255), limits.is_exceeded(52, 255)
        (False, True)
        """
        return 100 * dropped > self.percent * of and (dropped > self.rows or not comparable)


SHRINK_LIMITS: Final = ShrinkLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A count of removed orders: when it began, and how many were in use then."""

    began_s: int
    wall_s: int  # the time here, Unix seconds
    rows: int
    removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDrop:
    """What a whole snapshot would take away."""

    rows: int  # orders in use that it does not name
    of: int
    removed_before: int  # in the same window
    comparable: bool
    confirmed_rows: int | None  # of the newest confirmation that concerns it
    snapshot_rows: int


def window_at(store: Store, wall_s: int, limits: ShrinkLimits, *, removing: int) -> Window:
    """Return the count that goes on at ``wall_s`` (Unix seconds), or a new one.

    What is in use is counted anew for a new one, and where ``removing`` more seem to be too many.
    That reads the whole cache.
    """
    with store.read() as connection:
        began_s, rows, removed = connection.execute(
            "SELECT window_s, window_rows, window_removed FROM feed"
        ).fetchone()
        if not _goes_on(began_s, wall_s):
            began_s, rows, removed = wall_s, 0, 0
        if began_s == wall_s or limits.is_exceeded(removed + removing, rows):
            (present,) = connection.execute(
                f"SELECT count(*) FROM entitlement WHERE {_IN_USE}", (wall_s,)
            ).fetchone()
            rows = max(rows, present + removed)  # orders may have come since the count began
    return Window(began_s=began_s, wall_s=wall_s, rows=rows, removed=removed)


def count_removed(
    connection: sqlite3.Connection,
    removed: Sequence[bytes],
    window: Window,
    limits: ShrinkLimits,
    *,
    through: int,
) -> bool:
    """Count the orders that a delta removes. Return False, and count none, if they are too many.

    Through the revision that a person has confirmed, any number may go.
    """
    query = f"SELECT 1 FROM entitlement WHERE cti = ? AND {_IN_USE}"
    gone = sum(
        connection.execute(query, (cti, window.wall_s)).fetchone() is not None
        for cti in dict.fromkeys(removed)
    )
    total = window.removed + gone
    mine, by, confirmed = connection.execute(
        "SELECT incarnation, confirmed_incarnation, confirmed_revision FROM feed"
    ).fetchone()
    is_confirmed = mine == by and through <= confirmed
    if limits.is_exceeded(total, window.rows) and not is_confirmed:
        return False
    connection.execute(
        "UPDATE feed SET window_s = ?, window_rows = ?, window_removed = ?",
        (window.began_s, window.rows, total),
    )
    return True


def drop_of_snapshot(store: Store, wall_s: int) -> SnapshotDrop:
    """Return what the whole snapshot would take away. It reads the whole cache."""
    with store.read() as connection:
        (
            incarnation,
            revision,
            its,
            loading,
            known,
            named,
            by,
            confirmed,
            confirmed_rows,
            began_s,
            window_rows,
            removed,
        ) = connection.execute(
            "SELECT incarnation, revision, snapshot_incarnation, snapshot_generation,"
            " snapshot_known, snapshot_rows, confirmed_incarnation, confirmed_revision,"
            " confirmed_rows, window_s, window_rows, window_removed FROM feed"
        ).fetchone()
        dropped = 0
        if revision > 0:
            (dropped,) = connection.execute(
                f"SELECT count(*) FROM entitlement WHERE {_IN_USE} AND generation < ?",
                (wall_s, loading),
            ).fetchone()
    comparable = its == incarnation
    goes_on = comparable and _goes_on(began_s, wall_s)
    concerns = by == its and (not comparable or confirmed > revision)
    return SnapshotDrop(
        rows=dropped,
        of=max(dropped + known, window_rows if goes_on else 0),
        removed_before=removed if goes_on else 0,
        comparable=comparable,
        confirmed_rows=confirmed_rows if concerns else None,
        snapshot_rows=named,
    )


def is_too_much(drop: SnapshotDrop, limits: ShrinkLimits) -> bool:
    """Return whether a person must confirm ``drop`` first."""
    if not drop.rows:
        return False
    if drop.confirmed_rows is not None and not limits.is_exceeded(
        drop.confirmed_rows - drop.snapshot_rows, drop.confirmed_rows, comparable=drop.comparable
    ):
        return False
    total = drop.rows + drop.removed_before
    return limits.is_exceeded(total, drop.of, comparable=drop.comparable)


def note_used(connection: sqlite3.Connection, drop: SnapshotDrop) -> None:
    """Count what a snapshot took away, now that it is in use."""
    if drop.comparable and drop.confirmed_rows is None:
        connection.execute("UPDATE feed SET window_removed = window_removed + ?", (drop.rows,))
    else:
        connection.execute("UPDATE feed SET window_s = 0")


def record_confirmation(store: Store, *, incarnation: bytes, revision: int, rows: int) -> bool:
    """Record that a person has confirmed the feed at ``revision``. Return whether it is newer."""
    asked = (incarnation, revision)
    with store.read() as connection:
        known = connection.execute(
            "SELECT confirmed_incarnation, confirmed_revision FROM feed"
        ).fetchone()
    if asked <= known:
        return False
    with store.transaction() as connection:
        connection.execute(
            "UPDATE feed SET confirmed_incarnation = ?, confirmed_revision = ?, confirmed_rows = ?",
            (*asked, rows),
        )
    return True


def _goes_on(began_s: int, wall_s: int) -> bool:
    return began_s <= wall_s < began_s + WINDOW_S
