"""Pages of the order feed, applied to the cache: of a snapshot, or of what has changed since.

A snapshot that is half loaded removes nothing: its rows join the old ones, and only when it is
whole do the rows that it did not name become invalid. Deltas wait for that. Revisions are compared
within one incarnation of the platform's store; a later incarnation is always newer.

A snapshot that would drop too many orders is kept aside until a person at the platform confirms it
(``edge.store.order_shrink``), and the old orders stay valid. A delta that would do so is not
applied: a snapshot is loaded instead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import reduce
from operator import xor

from edge.domain.order_row import EMPTY_DIGEST, Row, row_numbers, row_of
from edge.store import order_shrink
from edge.store.database.store import Store
from edge.store.exception_cases import raise_cancelled
from edge.store.order_shrink import SHRINK_LIMITS, ShrinkLimits
from edge.store.order_table import COLUMNS, entitlement_of, upsert
from edge.values.instant import Instant


class PageResult(StrEnum):
    """What a page of the feed changed."""

    APPLIED = "applied"
    COMPLETE = "complete"  # the snapshot's last page: its rows are now the valid ones
    SHRUNK = "shrunk"  # the snapshot is whole and drops too many orders: it waits for a person
    ALREADY = "already"  # nothing: it was applied before
    LOADING = "loading"  # nothing: a delta waits for the snapshot that is being loaded
    GAP = "gap"  # nothing: an earlier page is missing; request what follows feed_state()
    STALE = "stale"  # nothing: it is older than the cache


def apply_snapshot_page(
    store: Store,
    rows: Sequence[Row],
    *,
    site: str,
    incarnation: bytes,
    revision: int,
    page: int,
    last: bool,
    now: Instant,
    digests: Mapping[bytes, int] | None = None,
    limits: ShrinkLimits = SHRINK_LIMITS,
    clock_s: int | None = None,
) -> PageResult:
    """Apply page ``page`` (from 0) of a site's snapshot at ``revision``, in one transaction.

    A page should have at most 500 rows. ``digests``: ``row_numbers(rows)``, if the caller has them.
    ``now`` is when the page was issued, ``clock_s`` (Unix seconds) the time here, if it differs.
    """
    with store.transaction() as connection:
        refusal = _snapshot_refusal(connection, incarnation, revision, page)
        if refusal is not None:
            return refusal
        (generation,) = connection.execute("SELECT snapshot_generation FROM feed").fetchone()
        _note_page(connection, digests or row_numbers(rows))
        upsert(connection, rows, site=site, revision=revision, generation=generation)
        raise_cancelled(connection, rows, now)
        connection.execute(
            "UPDATE feed SET snapshot_pages = ?, last_contact_s = ?", (page + 1, now.unix_s)
        )
    if not last:
        return PageResult.APPLIED
    return _use_snapshot(store, limits, now.unix_s if clock_s is None else clock_s)


def apply_delta(
    store: Store,
    rows: Sequence[Row],
    *,
    site: str,
    removed: Sequence[bytes] = (),
    incarnation: bytes,
    from_revision: int,
    to_revision: int,
    now: Instant,
    digests: Mapping[bytes, int] | None = None,
    limits: ShrinkLimits = SHRINK_LIMITS,
    clock_s: int | None = None,
) -> PageResult:
    """Apply what changed from ``from_revision`` to ``to_revision``, in one transaction.

    One that begins before the cache's revision and ends after it has every change in between. Where
    a snapshot is being loaded, a delta waits: what it changed is in the delta after the snapshot.
    The other arguments are those of ``apply_snapshot_page``.
    """
    window = None
    if removed:
        wall_s = now.unix_s if clock_s is None else clock_s
        window = order_shrink.window_at(store, wall_s, limits, removing=len(removed))
    with store.transaction() as connection:
        refusal = _delta_refusal(connection, incarnation, from_revision, to_revision)
        if refusal is not None:
            return refusal
        if window is not None and not order_shrink.count_removed(
            connection, removed, window, limits, through=to_revision
        ):
            connection.execute("UPDATE feed SET reload = 1")
            return PageResult.GAP
        (generation,) = connection.execute("SELECT generation FROM feed").fetchone()
        _note_delta(connection, {**(digests or row_numbers(rows)), **dict.fromkeys(removed, 0)})
        upsert(connection, rows, site=site, revision=to_revision, generation=generation)
        raise_cancelled(connection, rows, now)
        connection.executemany("DELETE FROM entitlement WHERE cti = ?", ((cti,) for cti in removed))
        connection.execute(
            "UPDATE feed SET revision = ?, last_contact_s = ?", (to_revision, now.unix_s)
        )
        return PageResult.APPLIED


def _use_snapshot(store: Store, limits: ShrinkLimits, wall_s: int) -> PageResult:
    """Make the rows of a whole snapshot the valid ones, unless it drops too many.

    What it drops is counted outside the transaction: that reads the whole cache, and a scan must
    not wait for it. No other process writes to the cache.
    """
    drop = order_shrink.drop_of_snapshot(store, wall_s)
    with store.transaction() as connection:
        if order_shrink.is_too_much(drop, limits):
            connection.execute("UPDATE feed SET dropped = ?", (drop.rows,))
            return PageResult.SHRUNK
        connection.execute(
            "UPDATE feed SET incarnation = snapshot_incarnation, revision = snapshot_revision,"
            " generation = snapshot_generation, snapshot_revision = NULL, snapshot_pages = 0,"
            " stale_deleted_through = x'', digest = snapshot_digest, reload = 0, dropped = NULL"
        )
        order_shrink.note_used(connection, drop)
        return PageResult.COMPLETE


def _snapshot_refusal(
    connection: sqlite3.Connection, incarnation: bytes, revision: int, page: int
) -> PageResult | None:
    """Return why ``page`` cannot be applied; None when it is the next one.

    The first page of a newer snapshot begins a new generation. One of the revision that is here
    does so only where the rows are wrong: else it is a page that came twice.
    """
    mine, here, its, loading, pages, reload = connection.execute(
        "SELECT incarnation, revision, snapshot_incarnation, snapshot_revision, snapshot_pages,"
        " reload FROM feed"
    ).fetchone()
    asked = (incarnation, revision)
    if asked < ((mine, here) if loading is None else (its, loading)):
        return PageResult.STALE
    if asked == (its, loading):
        if page != pages:
            return PageResult.ALREADY if page < pages else PageResult.GAP
        return None
    if asked == (mine, here) and not reload:
        return PageResult.ALREADY
    if page > 0:
        return PageResult.GAP
    connection.execute(
        "UPDATE feed SET snapshot_incarnation = ?, snapshot_revision = ?, snapshot_pages = 0,"
        " snapshot_digest = ?, snapshot_rows = 0, snapshot_known = 0, dropped = NULL,"
        " snapshot_generation = max(generation, snapshot_generation) + 1",
        (incarnation, revision, EMPTY_DIGEST),
    )
    return None


def _delta_refusal(
    connection: sqlite3.Connection, incarnation: bytes, from_revision: int, to_revision: int
) -> PageResult | None:
    """Return why a delta cannot be applied; None when it can."""
    mine, revision, loading = connection.execute(
        "SELECT incarnation, revision, snapshot_revision IS NOT NULL FROM feed"
    ).fetchone()
    if loading:
        return PageResult.LOADING
    if incarnation != mine:
        return PageResult.STALE if incarnation < mine else PageResult.GAP
    if to_revision <= revision:
        return PageResult.ALREADY
    return PageResult.GAP if from_revision > revision or revision == 0 else None


def _note_page(connection: sqlite3.Connection, new: Mapping[bytes, int]) -> None:
    """Update digests and counts before rows of a snapshot are written: ``new`` has their digests.

    ``digest`` is over the valid rows, and ``snapshot_digest`` over those that the snapshot named.
    """
    revision, digest, part, generation, loading = connection.execute(
        "SELECT revision, digest, snapshot_digest, generation, snapshot_generation FROM feed"
    ).fetchone()
    whole, piece = _number(digest), _number(part)
    count, known = len(new), 0
    if revision == 0:  # of the first snapshot every row is new
        total = reduce(xor, new.values(), 0)
        whole, piece, new = whole ^ total, piece ^ total, {}
    for cti in new:
        old, of = _known_row(connection, cti)
        whole ^= new[cti] ^ (old if of >= generation else 0)
        piece ^= new[cti] ^ (old if of == loading else 0)
        count -= of == loading
        known += generation <= of < loading
    is_known = digest is not None or revision == 0
    connection.execute(
        "UPDATE feed SET digest = ?, snapshot_digest = ?, snapshot_rows = snapshot_rows + ?,"
        " snapshot_known = snapshot_known + ?",
        (_octets(whole) if is_known else None, _octets(piece), count, known),
    )


def _note_delta(connection: sqlite3.Connection, new: Mapping[bytes, int]) -> None:
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
