"""The last status of each device: the tables ``device_status`` and ``seen_epoch``."""

from __future__ import annotations

from sync.hub.store.interface import HubConnection
from sync.wire.messages import Status


def put_status(connection: HubConnection, status: Status, *, received_s: int) -> None:
    """Write the status of a device in place of the one before, and record its epoch as seen."""
    connection.execute(
        "INSERT INTO seen_epoch VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (status.dev, status.epoch, received_s),
    )
    connection.execute(
        "INSERT INTO device_status VALUES (?, ?, ?) ON CONFLICT (dev)"
        " DO UPDATE SET status = excluded.status, received_s = excluded.received_s",
        (status.dev, status.model_dump_json(), received_s),
    )


def status_of(connection: HubConnection, dev: str) -> tuple[str, int] | None:
    """Return the last status of a device (JSON) and when it was received (Unix seconds)."""
    row = connection.execute(
        "SELECT status, received_s FROM device_status WHERE dev = ?", (dev,)
    ).fetchone()
    return None if row is None else (row[0], row[1])


def count_statuses(connection: HubConnection) -> int:
    """Return how many devices have ever reported their status."""
    return int(connection.execute("SELECT count(*) FROM device_status").fetchone()[0])


def was_in_epoch(connection: HubConnection, dev: str, epoch: str) -> bool:
    """Return whether a status of the device named this epoch before."""
    row = connection.execute(
        "SELECT 1 FROM seen_epoch WHERE dev = ? AND epoch = ?", (dev, epoch)
    ).fetchone()
    return row is not None
