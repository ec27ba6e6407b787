"""The record of the device itself in its store."""

from __future__ import annotations

from dataclasses import dataclass

from edge.store.database.store import Store


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """Whose store it is, its time floor, and why the platform blocked the device, if it did."""

    device_id: str  # under which the store was opened first
    time_floor_s: int  # Unix seconds
    blocked: str | None


def read_device_record(store: Store) -> DeviceRecord | None:
    """Return the device's record; None where there is none. Raises StoreUnavailableError."""
    with store.read() as connection:
        row = connection.execute("SELECT device_id, time_floor_s, blocked FROM device").fetchone()
    return None if row is None else DeviceRecord(*row)


def device_name(store: Store) -> str | None:
    """Return the name under which this store was opened first; None where none was written."""
    record = read_device_record(store)
    return None if record is None else record.device_id


def lift_block(store: Store) -> None:
    """Let the device redeem again: the fleet has enrolled it anew. Raises StoreUnavailableError."""
    with store.transaction() as connection:
        connection.execute("UPDATE device SET blocked = NULL")
