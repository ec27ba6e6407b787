"""What a broken store knew of the device itself."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from edge.store.salvage.remains import SalvagedRows


class CarriedDevice(NamedTuple):
    """The columns of the device's row that go on. Zero and None where nothing is known."""

    time_floor_s: int = 0
    floor_order_s: int = 0  # when the last order to lower the floor was signed
    blocked: str | None = None
    requests: int = 0  # the number of the last authorisation request


def carry_device(connection: sqlite3.Connection, remains: SalvagedRows) -> CarriedDevice:
    """Return what the device's row says, or what the carried rows say where it was lost."""
    row = remains.gathered.connection.execute(
        "SELECT time_floor_s, floor_order_s, blocked, requests FROM device WHERE device_id != ''"
    ).fetchone()
    (numbered,) = remains.gathered.connection.execute(
        "SELECT coalesce(max(number), 0) FROM authorisation_request"
    ).fetchone()
    if row is not None:
        floor_s, order_s, blocked, requests = row
        return CarriedDevice(floor_s or 0, order_s or 0, blocked, max(requests or 0, numbered))
    (ordered_s,) = connection.execute(
        "SELECT coalesce(max(body ->> '$.new_floor'), 0) FROM outbox WHERE type = 'clock_reset'"
    ).fetchone()
    (issued_s,) = connection.execute(
        "SELECT coalesce(max(issued_at_s), 0) FROM document"
    ).fetchone()
    # An order to lower the floor overrules documents that were issued by the wrong time.
    return CarriedDevice(ordered_s or issued_s, ordered_s, None, numbered)
