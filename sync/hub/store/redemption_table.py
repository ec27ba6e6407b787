"""What devices redeemed and reversed.

Tables: ``redemption``, ``redemption_alias``, ``reversal`` and ``redeemed_total``. A row of
``redemption`` is marked when it is reversed, and ``redeemed_total`` holds the sums of the others.
So nothing that happens for each event reads all redemptions of an entitlement.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sync.hub.store.interface import HubConnection

# Whether ``v``, a reversal or the report of a review, is about ``r``, a redemption.
IS_ABOUT: Final = "v.cti = r.cti AND v.dev = r.dev AND v.redemption_id = r.id"
_NEWEST: Final = (
    "SELECT dev, epoch, seq, ts FROM redemption WHERE cti = ? AND dev = ? AND reversed = 0"
    " AND NOT (dev = ? AND epoch = ? AND seq = ?) ORDER BY ts DESC LIMIT 1"
)
_COLUMNS: Final = (
    "r.cti, r.dev, r.use_no, r.epoch, r.seq, r.units, r.amount_minor, r.ts, r.id, r.expires_s"
)
_AFTER: Final = "(r.cti, r.dev, r.epoch, r.seq) > (?, ?, ?, ?) AND r.reversed = 0"
_ORDER: Final = "ORDER BY r.cti, r.dev, r.epoch, r.seq LIMIT ?"
_ALL_AFTER: Final = f"SELECT {_COLUMNS} FROM redemption r WHERE {_AFTER} {_ORDER}"  # noqa: S608 - constants
_OWN_AFTER: Final = (
    f"SELECT {_COLUMNS} FROM redeemed_total t JOIN redemption r ON r.cti = t.cti AND r.dev = t.dev"  # noqa: S608 - constants
    f" WHERE t.dev = ? AND t.cti >= ? AND {_AFTER} ORDER BY t.cti, r.epoch, r.seq LIMIT ?"
)
_SITE_AFTER: Final = (
    f"SELECT {_COLUMNS} FROM entitlement e JOIN redemption r ON r.cti = e.cti"  # noqa: S608 - constants
    f" WHERE e.site = ? AND e.cti >= ? AND {_AFTER}"
    " ORDER BY e.cti, r.dev, r.epoch, r.seq LIMIT ?"
)


class RedemptionRow(NamedTuple):
    """A row of ``redemption``."""

    cti: bytes
    dev: str
    use_no: int  # in the device's store
    epoch: str
    seq: int
    units: int
    amount_minor: int | None
    ts: int  # Unix seconds
    id: str  # of the event that first reported it
    expires_s: int | None = None  # Unix seconds, of the code; None: the event did not say


class RedemptionPlace(NamedTuple):
    """Where a redemption stands in the order of the table: its key."""

    cti: bytes
    dev: str
    epoch: str
    seq: int


FIRST: Final = RedemptionPlace(b"", "", "", 0)  # before every redemption


class RedemptionEvent(NamedTuple):
    """Which event of which device reported a redemption, and when it happened (Unix seconds)."""

    dev: str
    epoch: str
    seq: int
    ts: int


def insert_redemption(
    connection: HubConnection, row: RedemptionRow, aliases: Iterable[str] = ()
) -> None:
    """Insert a redemption. One that is known already, from a lease, does not change.

    ``aliases`` are other ids by which its device may name it.
    """
    reversed = _is_reversed(connection, row)
    inserted = connection.execute(
        "INSERT INTO redemption"
        " (cti, dev, use_no, epoch, seq, units, amount_minor, ts, id, expires_s, reversed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*row, int(reversed)),
    )
    if inserted.rowcount == 0:
        return
    for alias in aliases:
        connection.execute(
            "INSERT INTO redemption_alias VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (row.cti, row.dev, alias, row.epoch, row.seq),
        )
    if not reversed:
        _add_to_total(connection, row.cti, row.dev, row.units, row.amount_minor or 0)


def insert_reversal(
    connection: HubConnection, cti: bytes, dev: str, redemption_id: str, *, epoch: str, seq: int
) -> None:
    """Insert the reversal of a redemption. It may come before the redemption.

    ``epoch`` and ``seq`` are those of the event that reported the reversal.
    """
    inserted = connection.execute(
        "INSERT INTO reversal VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (cti, dev, redemption_id, epoch, seq),
    )
    if inserted.rowcount == 0:
        return
    redeemed = connection.execute(
        "SELECT units, coalesce(amount_minor, 0) FROM redemption"
        " WHERE cti = ? AND dev = ? AND id = ?",
        (cti, dev, redemption_id),
    ).fetchone()
    if redeemed is None:
        return
    connection.execute(
        "UPDATE redemption SET reversed = 1 WHERE cti = ? AND dev = ? AND id = ?",
        (cti, dev, redemption_id),
    )
    units, amount_minor = redeemed
    _add_to_total(connection, cti, dev, -units, -amount_minor)


def has_redemption(connection: HubConnection, cti: bytes) -> bool:
    """Return whether anything was redeemed of an entitlement, reversed or not."""
    row = connection.execute("SELECT 1 FROM redemption WHERE cti = ? LIMIT 1", (cti,)).fetchone()
    return row is not None


def is_known(
    connection: HubConnection, cti: bytes, dev: str, name: str, *, epoch: str, seq: int
) -> bool:
    """Return whether another event than ``epoch`` and ``seq`` reported a redemption of this name.

    The name is the redemption's id or an alias of it.
    """
    row = connection.execute(
        "SELECT 1 FROM redemption WHERE cti = ? AND dev = ? AND id = ?"
        " AND NOT (epoch = ? AND seq = ?) UNION ALL"
        " SELECT 1 FROM redemption_alias WHERE cti = ? AND dev = ? AND alias = ?"
        " AND NOT (epoch = ? AND seq = ?)",
        2 * (cti, dev, name, epoch, seq),
    ).fetchone()
    return row is not None


def newest_other(
    connection: HubConnection, cti: bytes, mine: RedemptionEvent
) -> RedemptionEvent | None:
    """Return the newest redemption other than ``mine`` that was not reversed.

    Another device's redemption comes before one of the same device.
    """
    devices = connection.execute(
        "SELECT dev FROM redeemed_total WHERE cti = ? AND units > 0 AND dev <> ?", (cti, mine.dev)
    ).fetchall()
    others = [_newest_of(connection, cti, dev, mine) for (dev,) in devices]
    return max(
        (other for other in others if other is not None),
        key=lambda other: other.ts,
        default=_newest_of(connection, cti, mine.dev, mine),
    )


def total_redeemed(connection: HubConnection, cti: bytes, *, but: str = "") -> tuple[int, int]:
    """Return the units and the minor units of money that were redeemed and not reversed.

    Redemptions of the device ``but`` do not count.
    """
    rows = connection.execute(
        "SELECT units, amount_minor FROM redeemed_total WHERE cti = ? AND dev <> ?", (cti, but)
    ).fetchall()
    return sum(units for units, _ in rows), sum(amount for _, amount in rows)


class LastUse(NamedTuple):
    """When an entitlement was last redeemed, Unix seconds (0: never), and by which device."""

    at_s: int
    dev: str


NEVER_USED: Final = LastUse(0, "")


def last_use(connection: HubConnection, cti: bytes, *, but: str) -> LastUse:
    """Return the newest redemption by a device other than ``but`` that was not reversed."""
    row = connection.execute(
        "SELECT ts, dev FROM redemption WHERE cti = ? AND dev <> ? AND reversed = 0"
        " ORDER BY ts DESC LIMIT 1",
        (cti, but),
    ).fetchone()
    return NEVER_USED if row is None else LastUse(*row)


def redemptions_of(
    connection: HubConnection, cti: bytes, *, after: tuple[str, str, int] = ("", "", 0), limit: int
) -> list[RedemptionRow]:
    """Return redemptions of an entitlement that were not reversed, by device, epoch and number.

    ``after`` is device, epoch and number of the last one that is known.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM redemption r WHERE cti = ? AND reversed = 0"  # noqa: S608 - constants
        " AND (dev, epoch, seq) > (?, ?, ?) ORDER BY dev, epoch, seq LIMIT ?",
        (cti, *after, limit),
    )
    return [RedemptionRow(bytes(row[0]), *row[1:]) for row in rows.fetchall()]


def redemptions_after(
    connection: HubConnection, place: RedemptionPlace, *, dev: str, site: str | None, limit: int
) -> list[RedemptionRow]:
    """Return the redemptions after ``place`` that were not reversed, in the order of their places.

    Of ``dev``, and of the entitlements of ``site``; None: of every device.
    """
    if site is None:
        rows = connection.execute(_ALL_AFTER, (*place, limit)).fetchall()
    else:
        rows = connection.execute(_OWN_AFTER, (dev, place.cti, *place, limit)).fetchall()
        at_site = (site, place.cti, *place, limit)
        rows += connection.execute(_SITE_AFTER, at_site).fetchall()
    both = {RedemptionRow(bytes(row[0]), *row[1:]) for row in rows}
    return sorted(both, key=lambda row: (row.cti, row.dev, row.epoch, row.seq))[:limit]


def redeemed_by_events(
    connection: HubConnection, cti: bytes, dev: str, ids: Iterable[str]
) -> tuple[int, int]:
    """Return units and minor units of the redemptions of ``dev`` with these ids, not reversed."""
    found = [
        connection.execute(
            "SELECT units, coalesce(amount_minor, 0) FROM redemption"
            " WHERE cti = ? AND dev = ? AND id = ? AND reversed = 0",
            (cti, dev, identity),
        ).fetchone()
        for identity in set(ids)
    ]
    rows = [row for row in found if row is not None]
    return sum(units for units, _ in rows), sum(amount for _, amount in rows)


def redeemed_ctis(connection: HubConnection, site: str, *, after: bytes, limit: int) -> list[bytes]:
    """Return the site's entitlements of which something was redeemed, in order."""
    rows = connection.execute(
        "SELECT DISTINCT r.cti FROM redemption r JOIN entitlement e ON e.cti = r.cti"
        " WHERE e.site = ? AND r.cti > ? ORDER BY r.cti LIMIT ?",
        (site, after, limit),
    )
    return [bytes(cti) for (cti,) in rows.fetchall()]


def _newest_of(
    connection: HubConnection, cti: bytes, dev: str, but: RedemptionEvent
) -> RedemptionEvent | None:
    row = connection.execute(_NEWEST, (cti, dev, *but[:3])).fetchone()
    return None if row is None else RedemptionEvent(*row)


def _is_reversed(connection: HubConnection, row: RedemptionRow) -> bool:
    found = connection.execute(
        "SELECT 1 FROM reversal WHERE cti = ? AND dev = ? AND redemption_id = ?",
        (row.cti, row.dev, row.id),
    ).fetchone()
    return found is not None


def _add_to_total(
    connection: HubConnection, cti: bytes, dev: str, units: int, amount_minor: int
) -> None:
    connection.execute(
        "INSERT INTO redeemed_total VALUES (?, ?, ?, ?) ON CONFLICT (cti, dev)"
        " DO UPDATE SET units = redeemed_total.units + excluded.units,"
        " amount_minor = redeemed_total.amount_minor + excluded.amount_minor",
        (cti, dev, units, amount_minor),
    )
