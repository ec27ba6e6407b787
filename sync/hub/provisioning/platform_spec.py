"""What a platform is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.values.node_name import HUB, device_name_fault, name_fault


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSpec:
    """What ``provision`` makes."""

    tenant: str = "main"
    host: str = "127.0.0.1"  # name or address under which devices and hub reach the broker
    address: str = "127.0.0.1"  # address on which the broker listens
    port: int = 8883
    enrolment_port: int | None = None  # of the enrolment service; None: the one after the broker's
    # The account to which a broker started by root changes; it must be able to read the folder.
    user: str = "mosquitto"
    devices: dict[str, str]  # device id -> site
    hubs: int = 1  # hub processes that share the work
    database: str | None = None  # the hubs' store, a postgresql:// URL; None: a file

    @property
    def fault(self) -> str | None:
        """What is wrong with a name; None when all are good."""
        for device, site in self.devices.items():
            if fault := device_name_fault(device) or name_fault(site):
                return fault
        return name_fault(self.tenant)

    @property
    def hub_names(self) -> tuple[str, ...]:
        """The hubs' identities at the broker: ``_hub``, ``_hub-2``, ..."""
        return (HUB, *(f"{HUB}-{number}" for number in range(2, self.hubs + 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformDocuments:
    """Paths of the hub's documents: see ``sync.hub.config.HubDocuments``."""

    order_feed_key: Path
    trust_list: Path
    status_lists: tuple[Path, ...] = ()
