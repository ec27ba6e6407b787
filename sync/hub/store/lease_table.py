"""The lease of each site's authority: the table ``lease``."""

from __future__ import annotations

from typing import NamedTuple

from sync.hub.store.interface import HubConnection


class LeaseRow(NamedTuple):
    """A lease of a site. ``until_s`` is Unix seconds, 0 for a released lease."""

    holder: str
    term: int
    until_s: int


def lease_of(connection: HubConnection, site: str) -> LeaseRow | None:
    """Return the last lease of a site, current or not."""
    row = connection.execute(
        "SELECT holder, term, until_s FROM lease WHERE site = ?", (site,)
    ).fetchone()
    return None if row is None else LeaseRow(*row)


def put_lease(connection: HubConnection, site: str, lease: LeaseRow) -> None:
    """Write the lease of a site in place of the one before."""
    connection.execute(
        "INSERT INTO lease (site, holder, term, until_s) VALUES (?, ?, ?, ?) ON CONFLICT (site)"
        " DO UPDATE SET holder = excluded.holder, term = excluded.term, until_s = excluded.until_s",
        (site, *lease),
    )


def end_lease(connection: HubConnection, site: str) -> bool:
    """End the lease of a site now. Return False when there was none."""
    ended = connection.execute(
        "UPDATE lease SET until_s = 0 WHERE site = ? AND until_s > 0", (site,)
    )
    return ended.rowcount == 1
