"""The bodies of events, read from a store that may be damaged: nothing in them can be relied on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple


class StoredEvent(NamedTuple):
    """An event about one use of a code, as the outbox has it."""

    epoch_no: int
    seq: int
    id: str
    type: str
    at_s: int
    trust: str
    cti: bytes
    use_no: int
    body: dict[str, Any]

    def text(self, key: str) -> str | None:
        """Return a text of the body, or None."""
        value = self.body.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        """Return a whole number of the body, or None."""
        value = self.body.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def texts(self, key: str) -> list[str]:
        """Return the texts of a list in the body."""
        values = self.body.get(key)
        return (
            [each for each in values if isinstance(each, str)] if isinstance(values, list) else []
        )


def events_of_uses(connection: sqlite3.Connection, *types: str) -> Iterator[StoredEvent]:
    """Yield the events of these types that name a use of a code, in the order of their numbers."""
    holes = ", ".join("?" for _ in types)
    found = connection.execute(
        "SELECT epoch_no, seq, id, type, at_s, trust, body FROM outbox"
        f" WHERE type IN ({holes}) ORDER BY epoch_no, seq",
        types,
    )
    for epoch_no, seq, event_id, kind, at_s, trust, text in found:
        use = _use(text)
        if use is not None:
            yield StoredEvent(epoch_no, seq, event_id, kind, at_s, trust, *use)


def _use(text: str) -> tuple[bytes, int, dict[str, Any]] | None:
    try:
        body = json.loads(text)
        cti, use_no = bytes.fromhex(body["cti"]), body["use"]
    except (ValueError, TypeError, KeyError):
        return None
    if len(cti) != 16 or not isinstance(use_no, int) or not 0 < use_no < 2**53:
        return None
    return cti, use_no, body
