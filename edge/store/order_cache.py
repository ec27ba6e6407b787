"""The cache of what the platform sold. Filled only from a signed order feed (law 4).

A snapshot comes in pages, deltas follow by revision. A half-loaded snapshot removes nothing:
its rows join the old ones, and only its last page makes the rows it did not name invalid.
Nothing here touches what this device redeemed. A digest over the valid rows is kept with every change,
so that the platform's can be held against it (``matches``); where it differs, all is loaded again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from operator import xor

from edge.domain.entitlement import Entitlement
from edge.domain.order_row import EMPTY_DIGEST, Row, row_numbers, row_of
from edge.store.database.store import Store
from edge.store.exception_cases import raise_cancelled
from edge.store.order_table import COLUMNS, entitlement_of, upsert
from edge.values.instant import Instant

_SWEEP_ROWS = 500


class PageResult(StrEnum):
    """What became of a page of the feed."""

    APPLIED = "applied"
    COMPLETE = "complete"  # the snapshot's last page: it is now what is valid
    ALREADY = "already"  # seen before; nothing changed
    GAP = "gap"  # something before it is missing: ask from feed_state() on
    STALE = "stale"  # older than what is here; refused


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """From where to go on. ``snapshot_*`` only while a snapshot is half loaded."""

    revision: int  # 0: no snapshot was ever complete
    heard_s: int | None  # when the platform was last heard
    snapshot_revision: int | None
    next_page: int
    doubted: bool = False  # the digest was not the platform's: everything is to be loaded again


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
    """Apply page ``page`` (from 0) of a site's snapshot at ``revision``, in one transaction. Keep pages small (500).

    ``digests``: ``row_numbers(rows)``, from who has them already.
    """
    with store.transaction() as connection:
        refusal = _snapshot_refusal(connection, revision, page)
        if refusal is not None:
            return refusal
        (generation,) = connection.execute("SELECT snapshot_generation FROM feed").fetchone()
        _digest_changes(connection, digests or row_numbers(rows))
        upsert(connection, rows, site=site, revision=revision, generation=generation)
        raise_cancelled(connection, rows, now)
        connection.execute(
            "UPDATE feed SET snapshot_pages = ?, heard_s = ?", (page + 1, now.unix_s)
        )
        if not last:
            return PageResult.APPLIED
        connection.execute(
            "UPDATE feed SET revision = ?, generation = snapshot_generation, snapshot_revision = NULL,"
            " snapshot_pages = 0, swept_through = x'', digest = snapshot_digest, doubted = 0",
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
    """Apply what changed from ``from_revision`` to ``to_revision``, in one transaction. ``digests`` as a snapshot's."""
    with store.transaction() as connection:
        revision, generation = connection.execute(
            "SELECT revision, generation FROM feed"
        ).fetchone()
        if to_revision <= revision:
            return PageResult.ALREADY
        if from_revision != revision or revision == 0:
            return PageResult.GAP
        new = {**(digests or row_numbers(rows)), **dict.fromkeys(removed, 0)}
        _digest_changes(connection, new, to_revision=to_revision)
        upsert(
            connection,
            rows,
            site=site,
            revision=to_revision,
            generation=generation,
            keep_newer=True,
        )
        raise_cancelled(connection, rows, now)
        gone = ((cti, to_revision) for cti in removed)
        connection.executemany("DELETE FROM entitlement WHERE cti = ? AND revision <= ?", gone)
        connection.execute("UPDATE feed SET revision = ?, heard_s = ?", (to_revision, now.unix_s))
        return PageResult.APPLIED


def matches(store: Store, digest: bytes) -> bool:
    """Whether the cache is what the platform says it is. A difference is remembered until a snapshot has mended it.

    To be asked when the feed is at the platform's newest revision. True where no digest is known.
    """
    with store.transaction() as connection:
        (mine,) = connection.execute("SELECT digest FROM feed").fetchone()
        if mine is None or mine == digest:
            return True
        connection.execute("UPDATE feed SET doubted = 1")
        return False


def heard(store: Store, now: Instant) -> None:
    """The platform was heard, with nothing new: what is cached is as fresh as now."""
    with store.transaction() as connection:
        connection.execute("UPDATE feed SET heard_s = max(coalesce(heard_s, 0), ?)", (now.unix_s,))


def withdraw(store: Store, *, what: str, name: str, now: Instant) -> None:
    """The platform took back a ``token`` (name: cti in hex) or a ``campaign``. Verified by the caller."""
    assert what in ("token", "campaign"), what
    with store.transaction() as connection:
        connection.execute(
            "INSERT OR IGNORE INTO withdrawal VALUES (?, ?, ?)", (what, name, now.unix_s)
        )


def feed_state(store: Store) -> FeedState:
    """How far the feed has come."""
    with store.read() as connection:
        row = connection.execute(
            "SELECT revision, heard_s, snapshot_revision, snapshot_pages, doubted FROM feed"
        ).fetchone()
    return FeedState(
        revision=row[0],
        heard_s=row[1],
        snapshot_revision=row[2],
        next_page=row[3],
        doubted=bool(row[4]),
    )


def find(store: Store, cti: bytes) -> Entitlement | None:
    """The entitlement of ``cti``, or None when the cache has none that is valid."""
    with store.read() as connection:
        row = connection.execute(
            f"SELECT {COLUMNS} FROM entitlement WHERE cti = ? AND generation >= (SELECT generation FROM feed)",  # noqa: S608
            (cti,),
        ).fetchone()
    return entitlement_of(row) if row else None


def every(
    store: Store, *, order_id: str | None = None, after: bytes = b"", limit: int = 1000
) -> list[Entitlement]:
    """Valid entitlements by cti after ``after``, of one order or of all."""
    with store.read() as connection:
        rows = connection.execute(
            f"SELECT {COLUMNS} FROM entitlement WHERE cti > ?1 AND generation >= (SELECT generation FROM feed)"  # noqa: S608
            " AND (?2 IS NULL OR order_id = ?2) ORDER BY cti LIMIT ?3",
            (after, order_id, limit),
        ).fetchall()
    return [entitlement_of(row) for row in rows]


def count(store: Store) -> int:
    """How many entitlements are valid. Reads the whole cache: not for the way of a scan."""
    with store.read() as connection:
        row = connection.execute(
            "SELECT count(*) FROM entitlement WHERE generation >= (SELECT generation FROM feed)"
        ).fetchone()
    return int(row[0])


def sweep(store: Store) -> bool:
    """Delete a few rows that a snapshot left behind; True while there may be more. For idle moments."""
    with store.transaction() as connection:
        generation, through = connection.execute(
            "SELECT generation, swept_through FROM feed"
        ).fetchone()
        if through is None:
            return False
        rows = connection.execute(
            "SELECT cti, generation FROM entitlement WHERE cti > ? ORDER BY cti LIMIT ?",
            (through, _SWEEP_ROWS),
        ).fetchall()
        stale = [(cti,) for cti, of in rows if of < generation]
        connection.executemany("DELETE FROM entitlement WHERE cti = ?", stale)
        more = len(rows) == _SWEEP_ROWS
        connection.execute("UPDATE feed SET swept_through = ?", (rows[-1][0] if more else None,))
        return more


def _snapshot_refusal(
    connection: sqlite3.Connection, revision: int, page: int
) -> PageResult | None:
    """None when ``page`` is the next to apply; begins a new generation for the first page of a new snapshot."""
    here, loading, pages = connection.execute(
        "SELECT revision, snapshot_revision, snapshot_pages FROM feed"
    ).fetchone()
    if revision < here or (revision == here and loading != revision and page > 0):
        return PageResult.STALE
    if loading == revision and page < pages:
        return PageResult.ALREADY
    if loading == revision and page == pages:
        return None
    if page > 0:
        return PageResult.GAP
    connection.execute(
        "UPDATE feed SET snapshot_revision = ?, snapshot_pages = 0, snapshot_digest = ?,"
        " snapshot_generation = max(generation, snapshot_generation) + 1",
        (revision, EMPTY_DIGEST),
    )
    return None


def _digest_changes(
    connection: sqlite3.Connection, new: Mapping[bytes, int], *, to_revision: int | None = None
) -> None:
    """Keep the digests before rows are written and removed: out with the old content, in with the ``new`` (0: none).

    ``digest`` is over the valid rows; ``snapshot_digest`` over those of the snapshot that is being loaded.
    ``to_revision`` is a delta's, which leaves newer rows alone; None: a page of the snapshot.
    """
    feed = connection.execute(
        "SELECT revision, digest, snapshot_digest, generation, snapshot_generation, snapshot_revision IS NOT NULL"
        " FROM feed"
    ).fetchone()
    revision, digest, part, generation, new_generation, half = feed
    whole, piece = _number(digest), _number(part)
    if to_revision is None and revision == 0:  # of the first snapshot every row is new
        total = reduce(xor, new.values(), 0)
        whole, piece, new = whole ^ total, piece ^ total, {}
    for cti in new:
        old, at, of = _known_row(connection, cti)
        if to_revision is not None and at > to_revision:
            continue
        whole ^= new[cti] ^ (old if of >= generation else 0)
        if to_revision is None or (half and of == new_generation):
            piece ^= new[cti] ^ (old if of == new_generation else 0)
    known = digest is not None or revision == 0
    connection.execute(
        "UPDATE feed SET digest = ?, snapshot_digest = ?",
        (whole.to_bytes(32, "big") if known else None, piece.to_bytes(32, "big")),
    )


def _known_row(connection: sqlite3.Connection, cti: bytes) -> tuple[int, int, int]:
    """Of the row that is there: its digest as a number, its revision and its generation."""
    row = connection.execute(
        f"SELECT generation, {COLUMNS} FROM entitlement WHERE cti = ?",  # noqa: S608
        (cti,),
    ).fetchone()
    if row is None:
        return 0, 0, -1
    kept = entitlement_of(row[1:])
    return row_numbers([row_of(kept)])[cti], kept.revision, row[0]


def _number(digest: bytes | None) -> int:
    return int.from_bytes(digest or b"", "big")
