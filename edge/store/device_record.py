"""The record of the device itself in its store: the name, and whether the platform blocked it."""

from __future__ import annotations

from edge.store.database.store import Store


def device_name(store: Store) -> str | None:
    """Return the name under which this store was opened first; None where none was written."""
    with store.read() as connection:
        row = connection.execute("SELECT device_id FROM device").fetchone()
    return None if row is None else str(row[0])


def lift_block(store: Store) -> None:
    """Let the device redeem again: the fleet has enrolled it anew. Raises StoreUnavailableError."""
    with store.transaction() as connection:
        connection.execute("UPDATE device SET blocked = NULL")
