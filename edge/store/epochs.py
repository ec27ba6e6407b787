"""Leave a numbering of events that the platform has further than this store: an old copy was put back."""

from __future__ import annotations

from edge.instant import Instant
from edge.store.opening import RandomBytes, begin_epoch
from edge.store.store import Store


def leave_epoch(store: Store, epoch: str, *, why: str, now: Instant, random_bytes: RandomBytes) -> bool:
    """Begin a new epoch if ``epoch`` is the one that events are written in; False, and nothing changed, otherwise.

    What the old epoch still has to send stays in it.
    """
    with store.transaction() as connection:
        current = "SELECT 1 FROM device d JOIN epoch e ON e.no = d.epoch_no WHERE e.epoch = ?"
        if connection.execute(current, (epoch,)).fetchone() is None:
            return False
        number = begin_epoch(connection, why=why, now_s=now.unix_s, random_bytes=random_bytes)
        connection.execute("UPDATE device SET epoch_no = ?", (number,))
        return True
