"""The persisted time floor: it is at least this late, whatever the wall clock says."""

from __future__ import annotations

from edge.store.store import Store


def time_floor_s(store: Store) -> int:
    """The floor in Unix seconds: of the build, of verified documents, of what ``raise_time_floor`` was told."""
    with store.read() as connection:
        return int(connection.execute("SELECT time_floor_s FROM device").fetchone()[0])


def raise_time_floor(store: Store, unix_s: int) -> None:
    """Persist a later floor; an earlier one changes nothing. For a daemon's tick, about once a minute."""
    if unix_s <= time_floor_s(store):
        return
    with store.transaction() as connection:
        connection.execute("UPDATE device SET time_floor_s = max(time_floor_s, ?)", (unix_s,))


def probe(store: Store) -> None:
    """Write the same floor again: raises StoreUnavailableError while nothing can be written."""
    with store.transaction() as connection:
        connection.execute("UPDATE device SET time_floor_s = time_floor_s")
