"""The cache of what the platform sold, and how far its feed has come (law 4).

Only ``edge.store.order_pages`` fills it, from signed pages. Nothing here touches what this device
redeemed. A digest over the valid rows is compared with the platform's; where it differs, all is
loaded again.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from edge.domain.entitlement import Entitlement
from edge.store.database.store import Store
from edge.store.order_table import COLUMNS, entitlement_of
from edge.values.instant import Instant

_DELETED_ROWS: Final = 500
_VALID: Final = "generation >= (SELECT generation FROM feed)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """How far the feed has come."""

    incarnation: bytes  # of the platform's store, in which the revision counts; empty: none
    revision: int  # 0: no snapshot was ever complete
    last_contact_s: int | None  # Unix seconds of the platform's last message
    snapshot_incarnation: bytes
    snapshot_revision: int | None  # only while a snapshot is not in use yet
    next_page: int
    must_reload: bool = False  # the rows here are not the platform's: load everything again
    dropped: int | None = None  # a whole snapshot waits for a person: it drops so many orders


def digest_matches(store: Store, digest: bytes) -> bool:
    """Return whether the cache is what the platform says it is; True where no digest is known.

    Valid only at the platform's newest revision. A difference is recorded until a snapshot has
    repaired it.
    """
    with store.read() as connection:
        own, known = connection.execute("SELECT digest, reload FROM feed").fetchone()
    differs = own is not None and own != digest
    if differs != bool(known):
        with store.transaction() as connection:
            connection.execute("UPDATE feed SET reload = ?", (int(differs),))
    return not differs


def record_contact(store: Store, now: Instant) -> None:
    """Record that the platform had nothing new: the cache is up to date as of ``now``."""
    with store.transaction() as connection:
        connection.execute(
            "UPDATE feed SET last_contact_s = max(coalesce(last_contact_s, 0), ?)", (now.unix_s,)
        )


def withdraw(store: Store, *, scope: str, name: str, now: Instant) -> None:
    """Record that the platform withdrew a ``token`` (name: cti in hex) or a ``campaign``.

    The caller has verified it.
    """
    assert scope in ("token", "campaign"), scope
    with store.transaction() as connection:
        connection.execute(
            "INSERT OR IGNORE INTO withdrawal VALUES (?, ?, ?)", (scope, name, now.unix_s)
        )


def is_token_withdrawn(connection: sqlite3.Connection, cti: bytes) -> bool:
    """Return whether the platform withdrew this code, beside the status list that names it."""
    query = "SELECT EXISTS (SELECT 1 FROM withdrawal WHERE scope = 'token' AND name = ?)"
    return bool(connection.execute(query, (cti.hex(),)).fetchone()[0])


def feed_state(store: Store) -> FeedState:
    """Return how far the feed has come."""
    with store.read() as connection:
        row = connection.execute(
            "SELECT incarnation, revision, last_contact_s, snapshot_incarnation,"
            " snapshot_revision, snapshot_pages, reload, dropped FROM feed"
        ).fetchone()
    return FeedState(
        incarnation=row[0],
        revision=row[1],
        last_contact_s=row[2],
        snapshot_incarnation=row[3],
        snapshot_revision=row[4],
        next_page=row[5],
        must_reload=bool(row[6]),
        dropped=row[7],
    )


def find(store: Store, cti: bytes) -> Entitlement | None:
    """Return the valid entitlement of ``cti``, or None."""
    with store.read() as connection:
        row = connection.execute(
            f"SELECT {COLUMNS} FROM entitlement WHERE cti = ? AND {_VALID}",
            (cti,),
        ).fetchone()
    return entitlement_of(row) if row else None


def entitlements(
    store: Store, *, order_id: str | None = None, after: bytes = b"", limit: int = 1000
) -> list[Entitlement]:
    """Return the valid entitlements of one order, or of all, by cti after ``after``."""
    with store.read() as connection:
        rows = connection.execute(
            f"SELECT {COLUMNS} FROM entitlement WHERE cti > ?1 AND {_VALID}"
            " AND (?2 IS NULL OR order_id = ?2) ORDER BY cti LIMIT ?3",
            (after, order_id, limit),
        ).fetchall()
    return [entitlement_of(row) for row in rows]


def count(store: Store) -> int:
    """Return how many entitlements are valid. It reads the whole cache: too slow for a scan."""
    with store.read() as connection:
        row = connection.execute(f"SELECT count(*) FROM entitlement WHERE {_VALID}").fetchone()
    return int(row[0])


def delete_stale(store: Store) -> bool:
    """Delete some of the rows that a snapshot made invalid; True while there may be more.

    For idle moments.
    """
    with store.transaction() as connection:
        generation, through = connection.execute(
            "SELECT generation, stale_deleted_through FROM feed"
        ).fetchone()
        if through is None:
            return False
        rows = connection.execute(
            "SELECT cti, generation FROM entitlement WHERE cti > ? ORDER BY cti LIMIT ?",
            (through, _DELETED_ROWS),
        ).fetchall()
        stale = [(cti,) for cti, of in rows if of < generation]
        connection.executemany("DELETE FROM entitlement WHERE cti = ?", stale)
        more = len(rows) == _DELETED_ROWS
        connection.execute(
            "UPDATE feed SET stale_deleted_through = ?", (rows[-1][0] if more else None,)
        )
        return more
