"""What the platform gives back of the ledger that this device has lost.

A new store is *recovering*: this device may have redeemed codes in an earlier one, and so may its
site. The platform sends what it knows in pages. The device stores them as ``restored_redemption``,
which counts in a decision and is no event: the platform has it already. Until the last page has
come, a code that was issued before the loss is in doubt (``edge.domain.offline_authority``).

Every function with a ``store`` raises StoreUnavailableError.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.store.database.store import Store
from edge.values.instant import ClockTrust, Instant

CLOCK_MARGIN_S: Final = 300  # by which the clock of an issuer may be ahead of this device's
COUNTED_MOST: Final = 64  # ids of redemptions of one code in a request; the newest
_UNKNOWN_S: Final = 2**33  # ``lost_s`` until a clock that can be trusted has been read


@dataclass(frozen=True, slots=True)
class RestoreState:
    """How far the restore has come."""

    after: str | None  # where the next page begins; None: nothing is missing
    lost_s: int | None  # codes issued before this moment are in doubt; None: none is


@dataclass(frozen=True, slots=True)
class RestoredRow:
    """A redemption as the platform knows it. A reversed one is not sent."""

    cti: bytes
    device: str
    event_id: str  # of the event that first reported it
    units: int
    amount_minor: int | None
    at_s: int


def restore_state(store: Store) -> RestoreState:
    """Return how far the restore has come."""
    with store.read() as connection:
        row = connection.execute("SELECT restore_after, lost_s FROM device").fetchone()
    return RestoreState(*row)


def restored_count(store: Store) -> int:
    """Return how many redemptions the platform has given back."""
    with store.read() as connection:
        return int(connection.execute("SELECT count(*) FROM restored_redemption").fetchone()[0])


def want_restore(connection: sqlite3.Connection) -> None:
    """Begin a restore in the caller's transaction: this store is an old copy. No code is in doubt.

    What says so may be unsigned, and an unsigned message must not refuse a customer.
    """
    connection.execute("UPDATE device SET restore_after = '' WHERE restore_after IS NULL")


def is_restore_wanted(connection: sqlite3.Connection) -> bool:
    """Return whether redemptions of this device may be missing, in the caller's transaction."""
    query = "SELECT restore_after IS NOT NULL FROM device"
    return bool(connection.execute(query).fetchone()[0])


def apply_restore_page(
    store: Store, rows: Sequence[RestoredRow], *, after: str, following: str | None
) -> bool:
    """Store a page that begins at ``after``, in one transaction; False if another is next.

    ``following`` is where the next page begins; None: this was the last one, and no code is in
    doubt any more.
    """
    with store.transaction() as connection:
        (expected,) = connection.execute("SELECT restore_after FROM device").fetchone()
        if expected != after:
            return False
        connection.executemany(
            # What this store has in its own ledger counts there.
            "INSERT INTO restored_redemption (cti, device, event_id, units, amount_minor, at_s)"
            " SELECT ?1, ?2, ?3, ?4, ?5, ?6"
            " WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE cti = ?1 AND event_id = ?3)"
            " ON CONFLICT DO NOTHING",
            ((r.cti, r.device, r.event_id, r.units, r.amount_minor, r.at_s) for r in rows),
        )
        connection.execute("UPDATE device SET restore_after = ?", (following,))
        if following is None:
            connection.execute("UPDATE device SET lost_s = NULL")
    return True


def bound_loss(store: Store, now: Instant) -> None:
    """Note by a trusted clock that codes issued from now on were issued after the loss."""
    if now.trust is not ClockTrust.TRUSTED:
        return
    with store.transaction() as connection:
        connection.execute(
            "UPDATE device SET lost_s = ? WHERE lost_s = ?",
            (now.unix_s + CLOCK_MARGIN_S, _UNKNOWN_S),
        )


def is_loss_bounded(state: RestoreState) -> bool:
    """Return whether the moment of the loss is known, or nothing is in doubt."""
    return state.lost_s != _UNKNOWN_S


def counted_events(connection: sqlite3.Connection, cti: bytes, device: str) -> tuple[str, ...]:
    """Return the events of this device's redemptions of a code that it counts itself.

    At most ``COUNTED_MOST`` of them, the newest, in the caller's transaction.
    """
    rows: Iterable[tuple[str]] = connection.execute(
        "SELECT event_id FROM (SELECT event_id, at_s FROM ledger WHERE cti = ?1 AND use_no IS NOT"
        " NULL UNION ALL SELECT event_id, at_s FROM restored_redemption"
        " WHERE cti = ?1 AND device = ?2) ORDER BY at_s DESC LIMIT ?3",
        (cti, device, COUNTED_MOST),
    )
    return tuple(event_id for (event_id,) in rows)
