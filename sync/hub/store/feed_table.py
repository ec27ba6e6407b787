"""The order feed of each site.

Tables: ``feed``, ``entitlement``, ``removed_entitlement`` and ``snapshot_page``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sync.hub.store.interface import HubConnection

SNAPSHOTS_KEPT: Final = 8  # of a site, the newest


class Feed(NamedTuple):
    """A site's feed: its newest revision, and the digest of all rows (edge.domain.order_row)."""

    head: int
    digest: bytes


# Feeds


def add_feed(connection: HubConnection, site: str, feed: Feed) -> None:
    """Insert a feed unless the site has one."""
    connection.execute("INSERT INTO feed VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (site, *feed))


def feed_of(connection: HubConnection, site: str) -> Feed | None:
    """Return the feed of a site."""
    row = connection.execute("SELECT head, digest FROM feed WHERE site = ?", (site,)).fetchone()
    return None if row is None else Feed(row[0], bytes(row[1]))


def set_feed(connection: HubConnection, site: str, feed: Feed) -> None:
    """Write head and digest of a feed that exists."""
    connection.execute("UPDATE feed SET head = ?, digest = ? WHERE site = ?", (*feed, site))


def highest_head(connection: HubConnection) -> int:
    """Return the highest revision of all feeds. There must be a feed."""
    return int(connection.execute("SELECT max(head) FROM feed").fetchone()[0])


def heads(connection: HubConnection) -> dict[str, int]:
    """Return the newest revision of each site's feed."""
    return dict(connection.execute("SELECT site, head FROM feed").fetchall())


# Rows


def put_entitlement(
    connection: HubConnection, cti: bytes, site: str, revision: int, *, line: str, size: int
) -> None:
    """Write an order line (JSON), in place of the one before. ``size``: bytes of its row in a page.

    A line that moves to another site counts as created there at ``revision``.
    """
    connection.execute(
        "INSERT INTO entitlement (cti, site, revision, created, line, size)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (cti) DO UPDATE"
        " SET site = excluded.site, revision = excluded.revision, line = excluded.line,"
        " size = excluded.size, created = CASE WHEN entitlement.site = excluded.site"
        " THEN entitlement.created ELSE excluded.created END",
        (cti, site, revision, revision, line, size),
    )
    connection.execute("DELETE FROM removed_entitlement WHERE cti = ? AND site = ?", (cti, site))


def entitlement_of(connection: HubConnection, cti: bytes) -> tuple[str, str] | None:
    """Return the site and the line (JSON) of an entitlement."""
    row = connection.execute("SELECT site, line FROM entitlement WHERE cti = ?", (cti,)).fetchone()
    return None if row is None else (row[0], row[1])


def insert_removal(connection: HubConnection, site: str, cti: bytes, revision: int) -> None:
    """Record that a site no longer has a row, as of ``revision``."""
    connection.execute(
        "INSERT INTO removed_entitlement VALUES (?, ?, ?)"
        " ON CONFLICT (site, cti) DO UPDATE SET revision = excluded.revision",
        (site, cti, revision),
    )


def change_sizes(
    connection: HubConnection, site: str, *, after: int, limit: int, of_removal: int
) -> list[tuple[int, int]]:
    """Return revision and bytes of each change after a revision, in order: rows and removals.

    A removal has ``of_removal`` bytes.
    """
    rows = connection.execute(
        "SELECT revision, size FROM entitlement WHERE site = ? AND revision > ?"
        " UNION ALL SELECT revision, ? FROM removed_entitlement WHERE site = ? AND revision > ?"
        " ORDER BY revision LIMIT ?",
        (site, after, of_removal, site, after, limit),
    )
    return [(revision, size) for revision, size in rows.fetchall()]


def changed_lines(connection: HubConnection, site: str, *, after: int, through: int) -> list[str]:
    """Return the lines that changed after one revision and up to another, in order."""
    rows = connection.execute(
        "SELECT line FROM entitlement WHERE site = ? AND revision > ? AND revision <= ?"
        " ORDER BY revision",
        (site, after, through),
    )
    return [line for (line,) in rows.fetchall()]


def removed_ctis(connection: HubConnection, site: str, *, after: int, through: int) -> list[bytes]:
    """Return the ctis removed from the site after one revision and up to another."""
    rows = connection.execute(
        "SELECT cti FROM removed_entitlement WHERE site = ? AND revision > ? AND revision <= ?",
        (site, after, through),
    )
    return [cti for (cti,) in rows.fetchall()]


def lines_after(connection: HubConnection, cti: bytes, limit: int) -> list[tuple[bytes, str]]:
    """Return cti and line of the entitlements of all sites after ``cti``, in order."""
    rows = connection.execute(
        "SELECT cti, line FROM entitlement WHERE cti > ? ORDER BY cti LIMIT ?", (cti, limit)
    )
    return [(bytes(found), line) for found, line in rows.fetchall()]


def count_entitlements(connection: HubConnection, site: str) -> int:
    """Return how many rows a site's feed has."""
    row = connection.execute("SELECT count(*) FROM entitlement WHERE site = ?", (site,)).fetchone()
    return int(row[0])


# Snapshots


def lines_between(
    connection: HubConnection, site: str, *, revision: int, first: bytes, end: bytes
) -> list[str]:
    """Return the lines that the site had by ``revision``, in order of cti.

    ``first`` is the lowest cti, inclusive; ``end`` is exclusive.
    """
    rows = connection.execute(
        "SELECT line FROM entitlement"
        " WHERE site = ? AND created <= ? AND cti >= ? AND cti < ? ORDER BY cti",
        (site, revision, first, end),
    )
    return [line for (line,) in rows.fetchall()]


def has_snapshot(connection: HubConnection, site: str, revision: int) -> bool:
    """Return whether the page bounds of a snapshot are stored."""
    row = connection.execute(
        "SELECT 1 FROM snapshot_page WHERE site = ? AND revision = ?", (site, revision)
    ).fetchone()
    return row is not None


def page_bounds(connection: HubConnection, site: str, revision: int, page: int) -> list[bytes]:
    """Return the first cti of a page and of the page after it, as far as they exist."""
    rows = connection.execute(
        "SELECT first_cti FROM snapshot_page"
        " WHERE site = ? AND revision = ? AND page IN (?, ?) ORDER BY page",
        (site, revision, page, page + 1),
    )
    return [first for (first,) in rows.fetchall()]


def sizes_of_rows(connection: HubConnection, site: str) -> list[tuple[bytes, int]]:
    """Return cti and bytes of each row of a site, in order of cti."""
    rows = connection.execute(
        "SELECT cti, size FROM entitlement WHERE site = ? ORDER BY cti", (site,)
    )
    return [(bytes(cti), size) for cti, size in rows.fetchall()]


def bytes_between(
    connection: HubConnection, site: str, *, revision: int, first: bytes, end: bytes
) -> int:
    """Return the bytes of the rows whose lines ``lines_between`` returns."""
    row = connection.execute(
        "SELECT coalesce(sum(size), 0) FROM entitlement"
        " WHERE site = ? AND created <= ? AND cti >= ? AND cti < ?",
        (site, revision, first, end),
    ).fetchone()
    return int(row[0])


def delete_snapshot(connection: HubConnection, site: str, revision: int) -> None:
    """Forget the page bounds of a snapshot."""
    connection.execute(
        "DELETE FROM snapshot_page WHERE site = ? AND revision = ?", (site, revision)
    )


def insert_snapshot(
    connection: HubConnection, site: str, revision: int, firsts: Sequence[bytes]
) -> None:
    """Insert the first cti of each page of a snapshot.

    Delete all but the newest ``SNAPSHOTS_KEPT`` snapshots of the site.
    """
    connection.executemany(
        "INSERT INTO snapshot_page VALUES (?, ?, ?, ?)",
        [(site, revision, page, cti) for page, cti in enumerate(firsts)],
    )
    connection.execute(
        "DELETE FROM snapshot_page WHERE site = ? AND revision NOT IN"
        " (SELECT DISTINCT revision FROM snapshot_page WHERE site = ?"
        " ORDER BY revision DESC LIMIT ?)",
        (site, site, SNAPSHOTS_KEPT),
    )
