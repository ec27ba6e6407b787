"""The store's row about its device."""

from __future__ import annotations

from dataclasses import dataclass

from edge.store.database.store import Store


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """Whose store it is, its time floor, and why the platform blocked the device, if it did."""

    device_id: str
    time_floor_s: int  # Unix seconds
    blocked: str | None


def read_device_row(store: Store) -> DeviceRow | None:
    """Return the device's row; None where there is none. Raises StoreUnavailableError."""
    with store.read() as connection:
        row = connection.execute("SELECT device_id, time_floor_s, blocked FROM device").fetchone()
    return None if row is None else DeviceRow(*row)
