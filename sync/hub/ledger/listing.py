"""What the hub has of each device, to be held against the device's own ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sync.hub.store.interface import HubStore

_COLUMNS = ("dev", "epoch", "seq", "id", "type", "ts", "ts_trust", "body", "received_s", "refused")


def rows(store: HubStore, *, dev: str | None = None) -> Iterator[dict[str, Any]]:
    """Every event by device, epoch and seq; ``body`` as an object. A view of one moment."""
    with store.read() as connection:
        found = connection.execute(
            "SELECT dev, epoch, seq, id, type, ts, ts_trust, body, received_s, refused FROM event"
            " WHERE ? IN ('', dev) ORDER BY dev, epoch, seq",  # no device has an empty name
            (dev or "",),
        )
        for values in found:
            row = dict(zip(_COLUMNS, values, strict=True))
            row["body"] = json.loads(row["body"])
            yield row
