"""What devices redeemed and reversed: the tables ``redemption`` and ``reversal``."""

from __future__ import annotations

from typing import Final, NamedTuple

from sync.hub.store.interface import HubConnection

# Whether ``v``, a reversal or the report of a review, is about ``r``, a redemption.
IS_ABOUT: Final = "v.cti = r.cti AND v.dev = r.dev AND v.redemption_id = r.id"
_NOT_REVERSED: Final = f"NOT EXISTS (SELECT 1 FROM reversal v WHERE {IS_ABOUT})"  # noqa: S608 - a constant
_OF_CODE: Final = f"FROM redemption r WHERE cti = ? AND {_NOT_REVERSED}"


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


class RedemptionEvent(NamedTuple):
    """Which event of which device reported a redemption, and when it happened (Unix seconds)."""

    dev: str
    epoch: str
    seq: int
    ts: int


def insert_redemption(connection: HubConnection, row: RedemptionRow) -> None:
    """Insert a redemption. One that is known already, from a lease, does not change."""
    connection.execute(
        "INSERT INTO redemption VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row
    )


def insert_reversal(
    connection: HubConnection, cti: bytes, dev: str, redemption_id: str, *, epoch: str, seq: int
) -> None:
    """Insert the reversal of a redemption. It may come before the redemption.

    ``epoch`` and ``seq`` are those of the event that reported the reversal.
    """
    connection.execute(
        "INSERT INTO reversal VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (cti, dev, redemption_id, epoch, seq),
    )


def has_redemption(connection: HubConnection, cti: bytes) -> bool:
    """Return whether anything was redeemed of an entitlement, reversed or not."""
    row = connection.execute("SELECT 1 FROM redemption WHERE cti = ? LIMIT 1", (cti,)).fetchone()
    return row is not None


def other_reports(
    connection: HubConnection, cti: bytes, dev: str, *, epoch: str, seq: int
) -> list[tuple[str, str, str]]:
    """Return the redemptions that other events of ``dev`` reported.

    Columns: event id, event body (JSON), redemption id.
    """
    rows = connection.execute(
        "SELECT e.id, e.body, r.id FROM redemption r"
        " JOIN event e ON e.dev = r.dev AND e.epoch = r.epoch AND e.seq = r.seq"
        " WHERE r.cti = ? AND r.dev = ? AND NOT (r.epoch = ? AND r.seq = ?)",
        (cti, dev, epoch, seq),
    )
    return rows.fetchall()


def newest_other(
    connection: HubConnection, cti: bytes, mine: RedemptionEvent
) -> RedemptionEvent | None:
    """Return the newest redemption other than ``mine`` that was not reversed.

    Another device's redemption comes before one of the same device.
    """
    row = connection.execute(
        f"SELECT dev, epoch, seq, ts {_OF_CODE} AND NOT (dev = ? AND epoch = ? AND seq = ?)"
        " ORDER BY dev = ?, ts DESC LIMIT 1",
        (cti, mine.dev, mine.epoch, mine.seq, mine.dev),
    ).fetchone()
    return None if row is None else RedemptionEvent(*row)


def total_redeemed(connection: HubConnection, cti: bytes, *, but: str = "") -> tuple[int, int]:
    """Return the units and the minor units of money that were redeemed and not reversed.

    Redemptions of the device ``but`` do not count.
    """
    row = connection.execute(
        f"SELECT coalesce(sum(units), 0), coalesce(sum(amount_minor), 0) {_OF_CODE} AND dev <> ?",
        (cti, but),
    ).fetchone()
    return int(row[0]), int(row[1])


def redemptions_of(connection: HubConnection, cti: bytes) -> list[RedemptionRow]:
    """Return the redemptions of an entitlement that were not reversed."""
    rows = connection.execute(
        f"SELECT cti, dev, use_no, epoch, seq, units, amount_minor, ts, id {_OF_CODE}", (cti,)
    )
    return [RedemptionRow(bytes(row[0]), *row[1:]) for row in rows.fetchall()]


def redeemed_ctis(connection: HubConnection, site: str, *, after: bytes, limit: int) -> list[bytes]:
    """Return the site's entitlements of which something was redeemed, in order."""
    rows = connection.execute(
        "SELECT DISTINCT r.cti FROM redemption r JOIN entitlement e ON e.cti = r.cti"
        " WHERE e.site = ? AND r.cti > ? ORDER BY r.cti LIMIT ?",
        (site, after, limit),
    )
    return [bytes(cti) for (cti,) in rows.fetchall()]
