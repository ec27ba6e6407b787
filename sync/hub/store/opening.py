"""Open the hub's store where the configuration says that it is."""

from __future__ import annotations

from pathlib import Path

from sync.hub.store.interface import HubStore
from sync.hub.store.sqlite import open_sqlite


def open_hub_store(folder: Path, database: str | None = None) -> HubStore:
    """Open or make ``folder/hub.db``, or the store in ``database``, a ``postgresql://`` URL. Raises HubStoreError."""
    if database is None:
        return open_sqlite(folder)
    from sync.hub.store.postgres import open_postgres

    return open_postgres(database)
