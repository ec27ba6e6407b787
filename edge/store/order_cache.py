"""The cache of what the platform sold, filled only from a signed order feed (law 4).

A snapshot comes in pages; deltas follow by revision. A snapshot that is half loaded removes
nothing: its rows join the old ones, and only its last page makes the rows that it did not name
invalid. Deltas wait for that. Nothing here touches what this device redeemed. Each change updates a
digest over the valid rows, which ``digest_matches`` compares with the platform's; where it differs,
all is loaded again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from operator import xor
from typing import Final

from edge.domain.entitlement import Entitlement
from edge.domain.order_row import EMPTY_DIGEST, Row, row_numbers, row_of
from edge.store.database.store import Store
from edge.store.exception_cases import raise_cancelled
from edge.store.order_table import COLUMNS, entitlement_of, upsert
from edge.values.instant import Instant

_DELETED_ROWS: Final = 500
_VALID: Final = "generation >= (SELECT generation FROM feed)"


class PageResult(StrEnum):
    """What a page of the feed changed."""

    APPLIED = "applied"
    COMPLETE = "complete"  # the snapshot's last page: its rows are now the valid ones
    ALREADY = "already"  # nothing: it was applied before
    LOADING = "loading"  # nothing: a delta waits for the snapshot that is being loaded
    GAP = "gap"  # nothing: an earlier page is missing; ask for what follows feed_state()
    STALE = "stale"  # nothing: it is older than the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """How far the feed has come."""

    revision: int  # 0: no snapshot was ever complete
    last_contact_s: int | None  # Unix seconds of the platform's last message
    snapshot_revision: int | None  # only while a snapshot is half loaded
    next_page: int
    digest_mismatch: bool = False  # the digest was not the platform's: load everything again


def apply_snapshot_page(
    store: Store,
    rows: Sequence[Row],
    *,
    site: str,
    revision: int,
    page: int,
    last: bool,
    now: Instant,
    digests: Mapping[bytes, int] | None = None,
) -> PageResult:
    """Apply page ``page`` (from 0) of a site's snapshot at ``revision``, in one transaction.

    A page should have at most 500 rows. ``digests``: ``row_numbers(rows)``, if the caller has them.
    """
    with store.transaction() as connection:
        refusal = _snapshot_refusal(connection, revision, page)
        if refusal is not None:
            return refusal
        (generation,) = connection.execute("SELECT snapshot_generation FROM feed").fetchone()
        _digest_page(connection, digests or row_numbers(rows))
        upsert(connection, rows, site=site, revision=revision, generation=generation)
        raise_cancelled(connection, rows, now)
        connection.execute(
            "UPDATE feed SET snapshot_pages = ?, last_contact_s = ?", (page + 1, now.unix_s)
        )
        if not last:
            return PageResult.APPLIED
        connection.execute(
            "UPDATE feed SET revision = ?, generation = snapshot_generation,"
            " snapshot_revision = NULL, snapshot_pages = 0, stale_deleted_through = x'',"
            " digest = snapshot_digest, digest_mismatch = 0",
            (revision,),
        )
        return PageResult.COMPLETE


def apply_delta(
    store: Store,
    rows: Sequence[Row],
    *,
    site: str,
    removed: Sequence[bytes] = (),
    from_revision: int,
    to_revision: int,
    now: Instant,
    digests: Mapping[bytes, int] | None = None,
) -> PageResult:
    """Apply what changed from ``from_revision`` to ``to_revision``, in one transaction.

    One that begins before the cache's revision and ends after it has every change in between. Where
    a snapshot is being loaded, a delta waits: what it changed is in the delta after the snapshot.
    ``digests``: ``row_numbers(rows)``, if the caller has them.
    """
    with store.transaction() as connection:
        revision, generation, loading = connection.execute(
            "SELECT revision, generation, snapshot_revision IS NOT NULL FROM feed"
        ).fetchone()
        if loading:
            return PageResult.LOADING
        if to_revision <= revision:
            return PageResult.ALREADY
        if from_revision > revision or revision == 0:
            return PageResult.GAP
        _digest_delta(connection, {**(digests or row_numbers(rows)), **dict.fromkeys(removed, 0)})
        upsert(connection, rows, site=site, revision=to_revision, generation=generation)
        raise_cancelled(connection, rows, now)
        connection.executemany("DELETE FROM entitlement WHERE cti = ?", ((cti,) for cti in removed))
        connection.execute(
            "UPDATE feed SET revision = ?, last_contact_s = ?", (to_revision, now.unix_s)
        )
        return PageResult.APPLIED


def digest_matches(store: Store, digest: bytes) -> bool:
    """Return whether the cache is what the platform says it is; True where no digest is known.

    Valid only at the platform's newest revision. A difference is recorded until a snapshot has
    repaired it.
    """
    with store.read() as connection:
        own, known = connection.execute("SELECT digest, digest_mismatch FROM feed").fetchone()
    differs = own is not None and own != digest
    if differs != bool(known):
        with store.transaction() as connection:
            connection.execute("UPDATE feed SET digest_mismatch = ?", (int(differs),))
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
            "SELECT revision, last_contact_s, snapshot_revision, snapshot_pages, digest_mismatch"
            " FROM feed"
        ).fetchone()
    return FeedState(
        revision=row[0],
        last_contact_s=row[1],
        snapshot_revision=row[2],
        next_page=row[3],
        digest_mismatch=bool(row[4]),
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


def _snapshot_refusal(
    connection: sqlite3.Connection, revision: int, page: int
) -> PageResult | None:
    """Return why ``page`` cannot be applied; None when it is the next one.

    The first page of a newer snapshot begins a new generation. One of the revision that is here
    does so only where the digest was wrong: else it is a page that came twice.
    """
    here, loading, pages, mismatch = connection.execute(
        "SELECT revision, snapshot_revision, snapshot_pages, digest_mismatch FROM feed"
    ).fetchone()
    if revision < (here if loading is None else loading):
        return PageResult.STALE
    if revision == loading and page != pages:
        return PageResult.ALREADY if page < pages else PageResult.GAP
    if revision == loading:
        return None
    if revision == here and not mismatch:
        return PageResult.ALREADY
    if page > 0:
        return PageResult.GAP
    connection.execute(
        "UPDATE feed SET snapshot_revision = ?, snapshot_pages = 0, snapshot_digest = ?,"
        " snapshot_generation = max(generation, snapshot_generation) + 1",
        (revision, EMPTY_DIGEST),
    )
    return None


def _digest_page(connection: sqlite3.Connection, new: Mapping[bytes, int]) -> None:
    """Update the digests before rows of a snapshot are written: ``new`` has their digests.

    ``digest`` is over the valid rows, and ``snapshot_digest`` over those that the snapshot named.
    """
    revision, digest, part, generation, loading = connection.execute(
        "SELECT revision, digest, snapshot_digest, generation, snapshot_generation FROM feed"
    ).fetchone()
    whole, piece = _number(digest), _number(part)
    if revision == 0:  # of the first snapshot every row is new
        total = reduce(xor, new.values(), 0)
        whole, piece, new = whole ^ total, piece ^ total, {}
    for cti in new:
        old, of = _known_row(connection, cti)
        whole ^= new[cti] ^ (old if of >= generation else 0)
        piece ^= new[cti] ^ (old if of == loading else 0)
    known = digest is not None or revision == 0
    connection.execute(
        "UPDATE feed SET digest = ?, snapshot_digest = ?",
        (_octets(whole) if known else None, _octets(piece)),
    )


def _digest_delta(connection: sqlite3.Connection, new: Mapping[bytes, int]) -> None:
    """Update the digest before a delta is written. A new content of 0 is that of a removed row."""
    digest, generation = connection.execute("SELECT digest, generation FROM feed").fetchone()
    if digest is None:
        return
    whole = _number(digest)
    for cti in new:
        old, of = _known_row(connection, cti)
        whole ^= new[cti] ^ (old if of >= generation else 0)
    connection.execute("UPDATE feed SET digest = ?", (_octets(whole),))


def _known_row(connection: sqlite3.Connection, cti: bytes) -> tuple[int, int]:
    """Return the stored row's digest (as an integer) and its generation; (0, -1): none."""
    row = connection.execute(
        f"SELECT generation, {COLUMNS} FROM entitlement WHERE cti = ?",
        (cti,),
    ).fetchone()
    if row is None:
        return 0, -1
    return row_numbers([row_of(entitlement_of(row[1:]))])[cti], row[0]


def _number(digest: bytes | None) -> int:
    return int.from_bytes(digest or b"", "big")


def _octets(number: int) -> bytes:
    return number.to_bytes(32, "big")
