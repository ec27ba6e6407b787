"""Open the hub's store that the configuration names."""

from __future__ import annotations

from pathlib import Path

from sync.hub.store.interface import HubStore
from sync.hub.store.sqlite import open_sqlite


def open_hub_store(folder: Path, database: str | None = None) -> HubStore:
    """Open ``folder/hub.db``, or the store in ``database``, a ``postgresql://`` URL.

    Make the file where there is none. Raises HubStoreError.
    """
    if database is None:
        return open_sqlite(folder)
    from sync.hub.store.postgres import open_postgres

    return open_postgres(database)
