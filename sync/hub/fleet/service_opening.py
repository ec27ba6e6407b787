"""The fleet service of ``edge-hub run``, with its store and the hub's trust list."""

from __future__ import annotations

import time
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from sync.hub.config import HubConfig
from sync.hub.fleet.fleet_service import FleetService
from sync.hub.fleet.trusted_keys import ListedKeys
from sync.hub.store.fleet.fleet_store import open_fleet_store


def open_fleet_service(config: HubConfig, log: FilteringBoundLogger) -> FleetService:
    """Open the fleet service over ``fleet.db`` in the hub's data folder. Raises HubStoreError."""
    return FleetService(
        config,
        open_fleet_store(Path(config.data_dir)),
        keys=ListedKeys(Path(config.documents.trust_list_file)),
        now_s=lambda: int(time.time()),
        log=log,
    )
