"""Brings the hub's store of an older version up to this one's, from the events that it keeps.

Until then a reversal, and the end of a review, was known by its device, code and number alone: in the same
transaction the tables of both are made anew, and what waited for a second person before there were reviews is listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, Final

from sync.hub.ledger import redemptions, reviews
from sync.hub.ledger.redemption_identity import identity
from sync.hub.store.schema import REVERSAL, REVIEWED
from sync.hub.store.sqlite import Connection
from sync.wire.codec import Event

_EVENT: Final = "dev, epoch, seq, id, type, ts, ts_trust, body"


def upgrade(
    connection: Connection,
    *,
    columns: Callable[[str], Collection[str]],
    words: Callable[[str], str] = str,
) -> None:
    """In the caller's transaction. ``columns`` are those of a table; ``words`` puts SQLite's in the store's."""
    if "ident" in columns("redemption"):
        return
    connection.execute(words("ALTER TABLE redemption ADD COLUMN ident TEXT NOT NULL DEFAULT ''"))
    if "refused" not in columns("review"):
        connection.execute(words("ALTER TABLE review ADD COLUMN refused TEXT"))
    for table, anew in (("reversal", REVERSAL), ("reviewed", REVIEWED)):
        connection.execute(f"DROP TABLE {table}")
        connection.execute(words(anew))
    _name_redemptions(connection)
    for dev, epoch, event in _events(connection, "type = 'reversed'", ()):
        redemptions.note_reversal(connection, dev, epoch, event)
    pending = f'%"verdict":"{reviews.PENDING}"%'
    for dev, epoch, event in _events(
        connection, "type = 'review' OR type = 'redeemed' AND body LIKE ?", (pending,)
    ):
        reviews.note(connection, dev, epoch, event)


def _name_redemptions(connection: Connection) -> None:
    at = "e.dev = redemption.dev AND e.epoch = redemption.epoch AND e.seq = redemption.seq"
    connection.execute(
        f"UPDATE redemption SET ident = coalesce((SELECT e.id FROM event e WHERE {at}), '')"  # noqa: S608
    )
    for dev, epoch, event in _events(
        connection, "type = 'redeemed' AND body LIKE ?", ('%"retries"%',)
    ):
        connection.execute(
            "UPDATE redemption SET ident = ? WHERE dev = ? AND epoch = ? AND seq = ?",
            (identity(event), dev, epoch, event.seq),
        )


def _events(
    connection: Connection, which: str, values: tuple[str, ...]
) -> list[tuple[str, str, Event]]:
    """Events that had an effect, in the order in which they came."""
    rows = connection.execute(
        f"SELECT {_EVENT} FROM event WHERE refused IS NULL AND ({which}) ORDER BY received_s, dev, epoch, seq",  # noqa: S608
        values,
    )
    return [(dev, epoch, _event(row)) for dev, epoch, *row in rows.fetchall()]


def _event(row: list[Any]) -> Event:
    seq, ident, kind, ts, trust, body = row
    return Event(seq=seq, id=ident, ts=ts, ts_trust=trust, type=kind, body=json.loads(body))
