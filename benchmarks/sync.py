"""Sync: events acknowledged against a bare publisher, bytes on the wire, snapshots."""

from __future__ import annotations

import selectors
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
from hardware_sim.world.free_ports import free_port
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import snapshot
from benchmarks.device import append, ident, now, redemption, start_sync, store_of
from benchmarks.measurement import Measurement
from benchmarks.platform import Platform, scratch, until
from edge.store import order_cache, outbox
from edge.store.database.store import Store
from sync.agent.feed_schedule import REFRESH_S
from sync.agent.timings import AGENT_TIMINGS
from sync.agent.uplink import events_of

EVENTS, ROUNDS = 4_000, 10
IDLE_S, KEEPALIVE_S, SHIPPED_KEEPALIVE_S, DAY_S = 16.0, 5, 30, 86_400
DEVICE, BARE = "kiosk-1", "bare"


def measure() -> Iterator[Measurement]:
    """Yield events a second, bytes of a redemption and of an idle day, snapshot rows a second."""
    with tempfile.TemporaryDirectory(dir=scratch(), prefix="sync-bench-") as name:
        folder = Path(name)
        platform = Platform(folder, {DEVICE: "shop-1", BARE: "shop-1"})
        try:
            platform.start_broker()
            platform.start_hub()
            yield from _acknowledged(platform)
            yield from _bytes(platform)
        finally:
            platform.close()
    yield from snapshot.measure()


# Events acknowledged


def _acknowledged(platform: Platform) -> Iterator[Measurement]:
    store = store_of(platform, DEVICE)
    append(store, 1)
    sync = start_sync(platform, DEVICE, platform.profile(DEVICE))
    bare = _bare_client(platform)
    ours: list[float] = []
    theirs: list[float] = []
    try:
        until(lambda: outbox.backlog(store).pending == 0)
        for turn in range(ROUNDS):
            for mine in (True, False) if turn % 2 else (False, True):
                (ours if mine else theirs).append(
                    EVENTS / (_carry(store) if mine else _publish(bare))
                )
    finally:
        sync.stop()
        bare.loop_stop()
    # The faster quarter of both: other load makes a round slower, never faster.
    value, peer = (statistics.quantiles(rates, n=4)[2] for rates in (ours, theirs))
    yield Measurement(
        "sync.events_acknowledged",
        value,
        "1/s",
        "bare paho QoS 1 publishes of the same events",
        value / peer,
    )


def _carry(store: Store) -> float:
    """Return the seconds from the commit of the events until the last is acknowledged."""
    append(store, EVENTS)
    began = time.perf_counter()
    until(lambda: _last_acknowledged(store))
    return time.perf_counter() - began


def _last_acknowledged(store: Store) -> bool:
    """Return whether the last event is acknowledged. Cheap, because it is polled during the run."""
    row = (
        store.connection()
        .execute(
            "SELECT acknowledged_through >= (SELECT max(seq) FROM outbox o WHERE o.epoch_no = e.no)"
            " FROM epoch e ORDER BY no DESC LIMIT 1"
        )
        .fetchone()
    )
    return bool(row[0])


def _publish(client: mqtt.Client) -> float:
    """Return the seconds for as many publishes, until the broker has acknowledged the last."""
    row = outbox.OutboxRow(
        epoch="", seq=1, id=ident(), type="redeemed", body=redemption(), at=now()
    )
    ((_, event),) = events_of([row], after_seq=0)
    began = time.perf_counter()
    sent = [client.publish(f"v1/main/{BARE}/up/bench", event, qos=1) for _ in range(EVENTS)]
    for each in sent:
        each.wait_for_publish(60)
    return time.perf_counter() - began


def _bare_client(platform: Platform) -> mqtt.Client:
    files = platform.files
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=BARE, protocol=mqtt.MQTTv5)
    client.tls_set(str(files.ca), str(files.certificate(BARE)), str(files.key(BARE)))
    client.connect("127.0.0.1", platform.site.port)
    client.loop_start()
    until(client.is_connected)
    return client


# Bytes on the wire


class Relay:
    """Forwards TCP between a device and the broker, and counts the bytes of TLS and MQTT."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self.up = self.down = 0
        self._broker_port = port
        self._stop = False
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._forward, daemon=True)
        self._thread.start()

    @property
    def total(self) -> int:
        """The bytes of both directions."""
        return self.up + self.down

    def close(self) -> None:
        """End the relay."""
        self._stop = True
        self._thread.join(5)
        self._server.close()

    def _forward(self) -> None:
        device, _ = self._server.accept()
        broker = socket.create_connection(("127.0.0.1", self._broker_port))
        with selectors.DefaultSelector() as selector, device, broker:
            for each in (device, broker):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(device, selectors.EVENT_READ, broker)
            selector.register(broker, selectors.EVENT_READ, device)
            while not self._stop:
                for ready, _ in selector.select(0.2):
                    source = ready.fileobj
                    assert isinstance(source, socket.socket)
                    data = source.recv(65536)
                    if not data:
                        return
                    ready.data.sendall(data)
                    if source is device:
                        self.up += len(data)
                    else:
                        self.down += len(data)


def _bytes(platform: Platform) -> Iterator[Measurement]:
    store = store_of(platform, DEVICE)
    relay = Relay(platform.site.port)
    profile = platform.profile(DEVICE, port=relay.port)
    profile.write_text(
        profile.read_text().replace("[mqtt]\n", f"[mqtt]\nkeepalive_s = {KEEPALIVE_S}\n")
    )
    sync = start_sync(platform, DEVICE, profile)
    try:
        until(lambda: order_cache.feed_state(store).revision > 0)
        _quiet(relay)
        yield Measurement("sync.connect_bytes", float(relay.total), "B")
        costs = [_cost_of_one(store, relay) for _ in range(9)]
        yield Measurement("sync.redemption_bytes_up", statistics.median(up for up, _ in costs), "B")
        yield Measurement(
            "sync.redemption_bytes", statistics.median(up + down for up, down in costs), "B"
        )
        yield _idle_day(relay, sum(statistics.median(each) for each in zip(*costs, strict=True)))
    finally:
        sync.stop()
        relay.close()


def _cost_of_one(store: Store, relay: Relay) -> tuple[int, int]:
    up, down = relay.up, relay.down
    append(store, 1)
    until(lambda: outbox.backlog(store).pending == 0)
    _quiet(relay)
    return relay.up - up, relay.down - down


def _idle_day(relay: Relay, exchange: float) -> Measurement:
    """Return the bytes of a day without a redemption: measured pings, scaled to the keepalive.

    It includes the rare exchanges, each counted like a redemption: the probe of the platform, the
    request for orders, and the hourly page without news.
    """
    before = relay.total
    time.sleep(IDLE_S)
    pings = (relay.total - before) / IDLE_S * KEEPALIVE_S / SHIPPED_KEEPALIVE_S * DAY_S
    exchanges = DAY_S / AGENT_TIMINGS.probe_s + DAY_S / REFRESH_S + DAY_S / 3600
    return Measurement("sync.idle_day_bytes", pings + exchanges * exchange, "B")


def _quiet(relay: Relay) -> None:
    """Wait until nothing has moved for a moment."""
    seen = -1
    while seen != relay.total:
        seen = relay.total
        time.sleep(0.15)
