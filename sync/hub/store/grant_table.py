"""Grants whose outcome their device has not reported yet: the table ``open_grant``."""

from __future__ import annotations

from sync.hub.store.interface import HubConnection
from sync.wire.messages import GrantRequest


def insert_grant(connection: HubConnection, request: GrantRequest) -> None:
    """Insert the grant for ``request``. The same request again changes nothing."""
    connection.execute(
        "INSERT INTO open_grant VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            bytes.fromhex(request.cti),
            request.dev,
            request.id,
            request.quantity,
            request.epoch,
            request.number,
        ),
    )


def granted_quantity(connection: HubConnection, cti: bytes, *, but: str) -> int:
    """Return the units that devices other than ``but`` hold grants for."""
    row = connection.execute(
        "SELECT coalesce(sum(quantity), 0) FROM open_grant WHERE cti = ? AND dev <> ?", (cti, but)
    ).fetchone()
    return int(row[0])


def count_grants(connection: HubConnection, cti: bytes, dev: str) -> int:
    """Return how many grants for an entitlement a device holds."""
    row = connection.execute(
        "SELECT count(*) FROM open_grant WHERE cti = ? AND dev = ?", (cti, dev)
    ).fetchone()
    return int(row[0])


def delete_grant(connection: HubConnection, cti: bytes, dev: str, id: str) -> None:
    """Delete the grant of one request."""
    connection.execute(
        "DELETE FROM open_grant WHERE cti = ? AND dev = ? AND id = ?", (cti, dev, id)
    )


def delete_grants_through(connection: HubConnection, dev: str, epoch: str, no: int) -> None:
    """Delete the grants of one epoch of a device, for requests up to number ``no``."""
    connection.execute(
        "DELETE FROM open_grant WHERE dev = ? AND epoch = ? AND no <= ?", (dev, epoch, no)
    )


def delete_grants(connection: HubConnection, cti: bytes) -> int:
    """Delete all grants of an entitlement and return how many there were."""
    return connection.execute("DELETE FROM open_grant WHERE cti = ?", (cti,)).rowcount
