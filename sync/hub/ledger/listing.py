"""The events that the hub has of each device, for comparison with the device's own ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sync.hub.store import event_table
from sync.hub.store.interface import HubStore


def list_events(store: HubStore, *, dev: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield every event from one consistent view, by device, epoch and seq.

    ``body`` is an object; of an event that could not be read, the beginning of its text. ``dev``
    limits the list to one device.
    """
    with store.read() as connection:
        for values in event_table.all_events(connection, dev):
            row = dict(zip(event_table.COLUMNS, values, strict=True))
            if row["type"] != event_table.UNREADABLE:
                row["body"] = json.loads(row["body"])
            yield row
