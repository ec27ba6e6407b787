"""Feeds that drop orders, and who confirmed that: the table ``order_confirmation``."""

from __future__ import annotations

from typing import NamedTuple

from sync.hub.store.interface import HubConnection


class OrderConfirmation(NamedTuple):
    """A person has confirmed that the feed of a site at ``revision`` has ``entries`` orders."""

    site: str
    revision: int
    entries: int
    by_name: str
    reason: str
    confirmed_s: int  # Unix seconds


def put_confirmation(connection: HubConnection, confirmation: OrderConfirmation) -> None:
    """Record a confirmation, in place of one of the same revision."""
    connection.execute(
        "INSERT INTO order_confirmation VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (site, revision)"
        " DO UPDATE SET entries = excluded.entries, by_name = excluded.by_name,"
        " reason = excluded.reason, confirmed_s = excluded.confirmed_s",
        confirmation,
    )


def newest_confirmation(connection: HubConnection, site: str) -> tuple[int, int] | None:
    """Return revision and number of orders of a site's newest confirmation."""
    row = connection.execute(
        "SELECT revision, entries FROM order_confirmation WHERE site = ?"
        " ORDER BY revision DESC LIMIT 1",
        (site,),
    ).fetchone()
    return None if row is None else (row[0], row[1])


def confirmed_revisions(connection: HubConnection) -> dict[str, int]:
    """Return the revision of the newest confirmation of each site that has one."""
    rows = connection.execute("SELECT site, max(revision) FROM order_confirmation GROUP BY site")
    return dict(rows.fetchall())


def confirmations(connection: HubConnection) -> list[OrderConfirmation]:
    """Return all confirmations, newest first."""
    rows = connection.execute(
        "SELECT site, revision, entries, by_name, reason, confirmed_s FROM order_confirmation"
        " ORDER BY confirmed_s DESC, site"
    )
    return [OrderConfirmation(*row) for row in rows.fetchall()]
