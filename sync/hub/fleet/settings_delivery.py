"""Delivery of settings or a revocation to each device, as a retained message."""

from __future__ import annotations

from collections.abc import Iterable

from edge.documents.settings import SettingsLayer
from edge.system.durable_file import digest_of
from edge.token import cbor
from sync.hub.fleet.device_directory import DeviceDirectory
from sync.hub.store.fleet import revocation_table, settings_table
from sync.hub.store.fleet.fleet_store import FleetConnection, FleetStore
from sync.mqtt.session import MqttSession
from sync.wire.topics import Down, Topic


class SettingsDelivery:
    """Publishes what is due, and remembers what the broker has of each device."""

    def __init__(self, store: FleetStore, directory: DeviceDirectory, *, tenant: str) -> None:
        self._store = store
        self._directory = directory
        self._tenant = tenant
        self._due: dict[str, None] = {}  # in order
        self._published: dict[str, str] = {}  # digests, by device
        self._data_version = -1

    def mark_due(self, devices: Iterable[str]) -> None:
        """Mark these devices for comparison at the next ``publish``."""
        self._due.update(dict.fromkeys(devices))

    def start_over(self) -> None:
        """Publish everything again: a broker may have come back empty."""
        self._published.clear()
        self._due = dict.fromkeys(self._directory.devices())

    def publish(self, session: MqttSession) -> None:
        """Publish what is due, as far as the session has room. Raises HubStoreError."""
        version = self._store.data_version()
        if version != self._data_version:  # the enrolment service has written
            self._data_version = version
            self.mark_due(self._directory.devices())
        for dev in list(self._due):
            payload = self._bundle(dev)
            digest = digest_of(payload) if payload else ""
            if payload and digest != self._published.get(dev):
                topic = str(Topic(self._tenant, dev, Down.CONFIG))
                if not session.publish(topic, payload, retain=True):
                    return
                self._published[dev] = digest
            del self._due[dev]

    def _bundle(self, dev: str) -> bytes | None:
        """Return the documents for ``dev``, one a layer; a revocation excludes all others."""
        with self._store.read() as connection:
            order = revocation_table.revocation_order_of(connection, dev)
            if order is not None:
                return cbor.encode([order])
            documents = [
                settings_table.newest_document(connection, key, dev)
                for key in self._layers_of(connection, dev)
            ]
        raws = [raw for raw in documents if raw is not None]
        return cbor.encode(raws) if raws else None

    def _layers_of(self, connection: FleetConnection, dev: str) -> list[str]:
        placement = self._directory.placement_of(connection, dev)
        groups = (f"{SettingsLayer.GROUP}/{group}" for group in placement.groups)
        return [
            str(SettingsLayer.FLEET),
            *groups,
            f"{SettingsLayer.SITE}/{placement.site}",
            f"{SettingsLayer.DEVICE}/{dev}",
        ]
