"""The known devices, and the site and groups of each.

A device is known from the hub's configuration, from its enrolment, or from what it reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sync.hub.config import HubDevice
from sync.hub.store.fleet import enrolment_table, revocation_table, settings_table
from sync.hub.store.fleet.fleet_store import FleetConnection, FleetStore, known_devices
from sync.wire.settings_report import SettingsReport


@dataclass(frozen=True, slots=True)
class Placement:
    """The site and the groups of a device."""

    site: str  # empty for a device whose site is not known
    groups: tuple[str, ...]


class DeviceDirectory:
    """Looks devices up in the configuration and in the fleet's store."""

    def __init__(self, configured: Iterable[HubDevice], store: FleetStore) -> None:
        self._sites = {device.id: device.site for device in configured}
        self._store = store

    def devices(self) -> list[str]:
        """Return the names of all devices in order, including revoked ones."""
        with self._store.read() as connection:
            return sorted({*self._sites, *known_devices(connection)})

    def site_of(self, dev: str) -> str | None:
        """Return the site of a device that is enrolled or configured; None for a revoked one."""
        with self._store.read() as connection:
            if revocation_table.revocation_of(connection, dev) is not None:
                return None
            enrolled = enrolment_table.device_of(connection, dev)
        return enrolled.site if enrolled else self._sites.get(dev)

    def placement_of(self, connection: FleetConnection, dev: str) -> Placement:
        """Return where a device is, for delivery.

        The device itself compares what it receives with its own site and groups.
        """
        row = settings_table.report_of(connection, dev)
        if row is not None:
            report = SettingsReport.model_validate_json(row[0])
            return Placement(report.site, tuple(report.groups))
        enrolled = enrolment_table.device_of(connection, dev)
        if enrolled is not None:
            return Placement(enrolled.site, tuple(json.loads(enrolled.groups)))
        return Placement(self._sites.get(dev, ""), ())
