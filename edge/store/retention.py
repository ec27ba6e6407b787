"""What a device keeps, and for how long: the one place that says so for every table.

What was redeemed, and what reports it, is permanent: only a platform that has proved that it has
everything may make a device delete it. What a scan leaves beside that has bounds in rows, bytes and
days. Pruning deletes the oldest rows, a few at a time, and costs the same whatever a table holds.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from edge.store.database.store import Store
from edge.values.instant import ClockTrust, Instant

_MIB: Final = 1024 * 1024
_DAY_S: Final = 86_400
BATCH: Final = 50  # rows in one go: some milliseconds, and more than a scanner writes in a second
_SAMPLE: Final = 32  # rows whose size is measured, evenly spread

PERMANENT: Final = frozenset(
    {
        "epoch",
        "exception",
        "intent",
        "ledger",
        "outbox",
        "policy",
        "restored_redemption",
        "review",
        "withdrawal",
    }
)
# As many rows as there are devices, people or orders; the newest replaces the one before.
CURRENT: Final = frozenset(
    {
        "_sqlite_migrations",
        "device",
        "document",
        "entitlement",
        "feed",
        "pending_request",
        "pin_attempt",
        "session",
        "shown_badge",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How much of a table is kept: the newest rows, by each of three measures."""

    table: str
    which: str  # SQL condition: the rows that this bound is about
    key: str  # integer column, in the order in which rows were written, with an index
    time: str  # column, Unix seconds
    size: str  # SQL expression: bytes of a row, about
    rows: int
    bytes: int
    days: int


_SCAN_BYTES: Final = "100 + length(detail) + coalesce(length(facts), 0)"

BOUNDS: Final = (
    # A stranger can make these as fast as a scanner judges, so they have a bound of their own.
    Bound(
        table="journal",
        which="ledger_id IS NULL",
        key="id",
        time="at_s",
        size=_SCAN_BYTES,
        rows=200_000,
        bytes=128 * _MIB,
        days=90,
    ),
    # The facts of redemptions. Beyond it a reversal is judged by the policy of now.
    Bound(
        table="journal",
        which="ledger_id IS NOT NULL",
        key="ledger_id",
        time="at_s",
        size=_SCAN_BYTES,
        rows=500_000,
        bytes=512 * _MIB,
        days=400,
    ),
    # One whose use the platform does not know of stays: its grant is not over.
    Bound(
        table="authorisation_request",
        which="consumed <> 2",
        key="number",
        time="requested_s",
        size="300 + coalesce(length(authority), 0)",
        rows=1000,
        bytes=_MIB,
        days=30,
    ),
    # Each line is also an event, which is permanent.
    Bound(
        table="operator_log",
        which="1",
        key="id",
        time="at_s",
        size="100 + length(detail)",
        rows=20_000,
        bytes=16 * _MIB,
        days=400,
    ),
)


def prune(store: Store, bound: Bound, now: Instant) -> bool:
    """Delete some of the oldest rows beyond ``bound``. True while there may be more.

    A clock that is not trusted deletes nothing for its age. Raises StoreUnavailableError.
    """
    with store.read() as connection:
        oldest = connection.execute(
            f"SELECT {bound.key}, {bound.time} FROM {bound.table} WHERE {bound.which}"
            f" ORDER BY {bound.key} LIMIT {BATCH}"
        ).fetchall()
        if not oldest:
            return False
        last = _last_to_go(connection, bound, oldest[0][0])
    too_old_s = now.unix_s - bound.days * _DAY_S if now.trust is ClockTrust.TRUSTED else 0
    doomed = [(key,) for key, at_s in oldest if key <= last or at_s < too_old_s]
    if doomed:
        with store.transaction() as connection:
            connection.executemany(
                f"DELETE FROM {bound.table} WHERE {bound.key} = ? AND {bound.which}", doomed
            )
    return len(doomed) == BATCH


def _last_to_go(connection: sqlite3.Connection, bound: Bound, first: int) -> int:
    """Return the key of the newest row that is too many, or too much."""
    (newest,) = connection.execute(
        f"SELECT max({bound.key}) FROM {bound.table} WHERE {bound.which}"
    ).fetchone()
    kept = min(bound.rows, bound.bytes // _mean_bytes(connection, bound, first, newest))
    return int(newest) - kept


def _mean_bytes(connection: sqlite3.Connection, bound: Bound, first: int, newest: int) -> int:
    """Return about how many bytes a row has: the mean of some that are evenly spread."""
    query = (
        f"SELECT {bound.size} FROM {bound.table} WHERE {bound.which} AND {bound.key} >= ?"
        f" ORDER BY {bound.key} LIMIT 1"
    )
    keys = [first + (newest - first) * step // _SAMPLE for step in range(_SAMPLE + 1)]
    sizes = [connection.execute(query, (key,)).fetchone()[0] for key in keys]
    return max(1, int(sum(sizes)) // len(sizes))
