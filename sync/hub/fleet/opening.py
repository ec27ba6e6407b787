"""An office for ``edge-hub run``: its store, and the keys of the trust list that the hub passes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sync.hub.config import HubConfig
from sync.hub.fleet.service import Office
from sync.hub.fleet.store import open_fleet_store
from sync.hub.fleet.trusted_keys import ListedKeys


def open_office(config: HubConfig, log: Any) -> Office:
    """Open the office over ``fleet.db`` in the hub's data folder. Raises FleetStoreError."""
    return Office(
        config,
        open_fleet_store(Path(config.data_dir)),
        keys=ListedKeys(Path(config.documents.trust_list_file)),
        now_s=lambda: int(time.time()),
        log=log,
    )
