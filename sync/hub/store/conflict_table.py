"""Redemptions of more than was sold: the table ``conflict``, one row for each device concerned."""

from __future__ import annotations

from sync.hub.store.interface import HubConnection
from sync.hub.store.redemption_table import RedemptionEvent


def insert_conflicts(
    connection: HubConnection,
    cti: bytes,
    one: RedemptionEvent,
    other: RedemptionEvent,
    *,
    found_s: int,
) -> None:
    """Record a conflict between two redemptions, for the device of each."""
    connection.lock_conflict_numbers()
    for mine, theirs in ((one, other), (other, one)):
        connection.execute(
            "INSERT INTO conflict"
            " (dev, cti, epoch, seq, other_dev, other_epoch, other_seq, other_ts, found_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (mine.dev, cti, mine.epoch, mine.seq, *theirs, found_s),
        )


def acknowledge_conflicts(connection: HubConnection, dev: str, *, through: int) -> None:
    """Mark the conflicts up to number ``through`` as acknowledged by the device."""
    connection.execute(
        "UPDATE conflict SET acknowledged = 1 WHERE dev = ? AND no <= ? AND acknowledged = 0",
        (dev, through),
    )


def open_conflicts(
    connection: HubConnection, dev: str, limit: int
) -> list[tuple[int, bytes, str, int, str, int]]:
    """Return the conflicts that the device has not acknowledged, by number.

    Columns: no, cti, epoch, seq, other_dev, other_ts.
    """
    rows = connection.execute(
        "SELECT no, cti, epoch, seq, other_dev, other_ts FROM conflict"
        " WHERE dev = ? AND acknowledged = 0 ORDER BY no LIMIT ?",
        (dev, limit),
    )
    return rows.fetchall()


def count_conflicts(connection: HubConnection, dev: str) -> int:
    """Return how many conflicts concern a device."""
    return int(
        connection.execute("SELECT count(*) FROM conflict WHERE dev = ?", (dev,)).fetchone()[0]
    )


def newest_conflicts(
    connection: HubConnection, limit: int
) -> list[tuple[int, str, bytes, str, int]]:
    """Return found_s, dev, cti, other_dev and other_ts of the newest conflicts."""
    rows = connection.execute(
        "SELECT found_s, dev, cti, other_dev, other_ts FROM conflict ORDER BY no DESC LIMIT ?",
        (limit,),
    )
    return rows.fetchall()
