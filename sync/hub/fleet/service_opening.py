"""An office for ``edge-hub run``: its store, and the keys of the trust list that the hub passes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sync.hub.config import HubConfig
from sync.hub.fleet.fleet_service import FleetService
from sync.hub.fleet.fleet_store import open_fleet_store
from sync.hub.fleet.trusted_keys import ListedKeys


def open_fleet_service(config: HubConfig, log: Any) -> FleetService:
    """Open the office over ``fleet.db`` in the hub's data folder. Raises FleetStoreError."""
    return FleetService(
        config,
        open_fleet_store(Path(config.data_dir)),
        keys=ListedKeys(Path(config.documents.trust_list_file)),
        now_s=lambda: int(time.time()),
        log=log,
    )
