"""The platform and one device as real processes: broker, hub and edge-sync.

The tests write to the device's store.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from edge.store import outbox
from edge.store.database.store import Store
from edge.store.opening import open_store
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.status_list import StatusList, sign_status_list, status_list
from edge.token.trust_list import TrustList, sign_trust_list
from edge.values.instant import Instant
from edge.values.uuid7 import uuid7
from sync.agent.device_metrics import DEVICE_FILE
from sync.fleet.key_folder import ROOT, FleetRecord, KeyFolder, create_key_folder
from sync.hub.config import HubConfig, load_hub_config
from sync.hub.ledger import listing
from sync.hub.orders.order_lines import parse_line, put_lines
from sync.hub.provisioning.platform_spec import PlatformDocuments
from sync.hub.store.interface import HubStore
from sync.hub.store.opening import open_hub_store
from sync.mqtt.backoff import Backoff
from sync.mqtt.session import MqttSession
from tests.support.broker import SPY, Broker, Process, until
from tests.support.fast_timings import program
from tests.support.protocol_schemas import Spy

BIN = Path(sys.executable).parent
YEAR_S = 365 * 86_400


class Keys:
    """A fleet's keys, and the documents that they sign."""

    def __init__(self, folder: Path):
        now_s = int(time.time())
        self.record = FleetRecord(
            issuer="shop.example", not_before_s=now_s - 86_400, expires_at_s=now_s + YEAR_S
        )
        self.folder: KeyFolder = create_key_folder(
            folder, self.record, issuer_alg="Ed25519", group_key=bytes(32)
        )
        self.path = folder

    def roots(self) -> Roots:
        return self.folder.roots()

    def signer(self, purpose: Purpose):
        return self.folder.signer(purpose)

    def trust_list(self, version: int) -> bytes:
        now_s = int(time.time())
        trust = TrustList(
            version=version,
            issued_at_s=now_s,
            expires_at_s=now_s + YEAR_S,
            keys=self.folder.trusted_keys(),
        )
        return sign_trust_list(trust, self.folder.signer(ROOT), self.roots())

    def status_list(self, version: int, revoked=()) -> bytes:
        now_s = int(time.time())
        kid = self.signer(Purpose.TOKEN).public.kid
        status: StatusList = status_list(
            kid=kid,
            version=version,
            issued_at_s=now_s,
            expires_at_s=now_s + YEAR_S,
            size=1000,
            revoked=revoked,
        )
        return sign_status_list(status, self.signer(Purpose.STATUS_LIST))


def metric(file: Path, name: str, *labels: str) -> float:
    """Return a figure of a file for Prometheus; 0 when it is absent."""
    families = text_string_to_metric_families(file.read_text()) if file.exists() else ()
    samples = (sample for family in families for sample in family.samples)
    return sum(
        found.value for found in samples if (found.name, *found.labels.values()) == (name, *labels)
    )


class Device:
    """A device's store, which the test writes as the scanner would, and its edge-sync process."""

    def __init__(self, platform: "Platform", name: str, site: str):
        self.name = name
        self.data = platform.folder / name
        self.platform = platform
        profile = self.data.with_suffix(".toml")
        roots = platform.folder / "roots.cbor"
        profile.write_text(
            f'[device]\nid = "{name}"\nsite = "{site}"\nkind = "kiosk"\n\n'
            f'[trust]\nroots_file = "{roots}"\n\n'
            + platform.broker.files.mqtt_section(name, platform.broker.site)
        )
        self.profile = profile
        self.sync = Process(
            [*program("edge-sync"), "run", "--profile", str(profile), "--data", str(self.data)],
            platform.folder / f"{name}.log",
        )
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        if self._store is None:
            opened = open_store(
                self.data, device_id=self.name, now_s=int(time.time()), random_bytes=os.urandom
            )
            assert opened.store is not None, opened.detail
            self._store = opened.store
        return self._store

    def redeem(
        self, cti: bytes = b"", *, units: int = 1, type: str = "redeemed", body: dict | None = None
    ) -> int:
        """Write one event, as a redemption does; returns its seq."""
        now = Instant(unix_s=int(time.time()))
        whole = {
            "cti": (cti or os.urandom(16)).hex(),
            "order": "A-1",
            "use": 1,
            "units": units,
            "kind": "write_off",
        }
        whole = whole if body is None else body
        with self.store.transaction() as connection:
            return outbox.append(
                connection,
                type=type,
                body=whole,
                now=now,
                id=uuid7(now.unix_s * 1000, os.urandom(10)),
            )

    def pending(self) -> int:
        return outbox.backlog(self.store).pending

    def wait_acknowledged(self) -> None:
        """Wait until the platform has acknowledged every event."""
        until(
            lambda: not self.pending(),
            what=lambda: f"{self.name}: {self.pending()} wait; {self.sync.text[-2000:]}",
        )

    def ledger(self) -> list[tuple]:
        """Every event of the store, as the hub's ledger should have it."""
        with self.store.read() as connection:
            rows = connection.execute(
                "SELECT e.epoch, o.seq, o.id, o.type, o.body"
                " FROM outbox o JOIN epoch e ON e.no = o.epoch_no"
                " ORDER BY e.no, o.seq"
            ).fetchall()
        return [
            (epoch, seq, identity, kind, json.loads(body))
            for epoch, seq, identity, kind, body in rows
        ]

    def metric(self, name: str, *labels: str) -> float:
        """Return what Prometheus would read; 0 when the figure is absent."""
        return metric(self.data / DEVICE_FILE, name, *labels)

    def health(self) -> dict:
        path = self.data / "sync-health.json"
        return json.loads(path.read_text()) if path.exists() else {}


class Platform:
    """Broker and hub, or several ``hubs`` with a ``database`` for all of them, started."""

    def __init__(
        self, folder: Path, devices: dict[str, str], *, with_status_list: bool = True, **site
    ):
        self.folder = folder
        self.keys = Keys(folder / "keys")
        (folder / "roots.cbor").write_bytes(self.keys.roots().to_bytes())
        self.trust_file = folder / "trust-list.cose"
        self.status_file = folder / "status-list.cose"
        self.publish(self.trust_file, self.keys.trust_list(1))
        self.publish(self.status_file, self.keys.status_list(1))
        documents = PlatformDocuments(
            order_feed_key=self.keys.path / "order_feed.pem",
            trust_list=self.trust_file,
            status_lists=(self.status_file,) if with_status_list else (),
        )
        self.broker = Broker(folder / "site", devices, documents, **site)
        self.config = str(self.broker.files.hub_config)
        self.hubs = [self._hub(name) for name in self.broker.site.hub_names]
        self.hub = self.hubs[0]
        self.devices = {name: Device(self, name, site) for name, site in devices.items()}

    @property
    def fleet_file(self) -> Path:
        return self.broker.files.folder / "fleet.toml"

    def _hub(self, name: str) -> Process:
        config = self.broker.files.hub_config_of(name)
        return Process(
            [*program("edge-hub"), "run", "--config", str(config)],
            self.folder / f"{config.stem}.log",
        )

    def publish(self, file: Path, content: bytes) -> None:
        temporary = file.with_suffix(".new")
        temporary.write_bytes(content)
        temporary.replace(file)

    def metric(self, name: str, *labels: str) -> float:
        """Return what Prometheus would read of the first hub."""
        return metric(self.broker.files.folder / "hub-data" / "hub.prom", name, *labels)

    @contextmanager
    def hub_store(self) -> Iterator[HubStore]:
        """Open the hub's store beside the running hub, as the ``edge-hub`` commands do."""
        config = load_hub_config(Path(self.config))
        assert isinstance(config, HubConfig)
        store = open_hub_store(Path(config.data_dir), config.database)
        try:
            yield store
        finally:
            store.close()

    def import_orders(self, *lines: dict) -> None:
        """As ``edge-hub orders import`` does."""
        parsed = [parse_line(json.dumps(line)) for line in lines]
        with self.hub_store() as store, store.transaction() as connection:
            put_lines(connection, parsed, time.time_ns() // 1000)

    def ledger(self, device: str) -> list[tuple]:
        """Return the hub's events of a device, in the form of the device's ``ledger``."""
        with self.hub_store() as store:
            rows = list(listing.list_events(store, dev=device))
        return [(row["epoch"], row["seq"], row["id"], row["type"], row["body"]) for row in rows]

    def __enter__(self):
        self.broker.start()
        spied = MqttSession(
            self.broker.endpoint(SPY),
            Spy.filters(),
            uniform=min,
            backoff=Backoff(floor_s=0.02, cap_s=0.1),
        )
        self.spy = Spy(spied).__enter__()
        for hub in self.hubs:
            hub.start()
        for hub in self.hubs:
            until(
                lambda hub=hub: '"connected"' in hub.text,
                what=lambda hub=hub: f"the hub is there; {hub.text}",
            )
        return self

    def __exit__(self, *_):
        for device in self.devices.values():
            device.sync.kill()
        self.spy.__exit__()
        for hub in self.hubs:
            hub.kill()
        self.broker.kill()
        assert not self.spy.faults, "said, and not as docs/protocol/asyncapi.json allows"
