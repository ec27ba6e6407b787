"""Sync against its parts: a bare publisher, bytes on the wire, and snapshots (``benchmarks.snapshot``)."""

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
from benchmarks.field import Field, scratch, until
from benchmarks.measurement import Measurement
from edge.store import order_cache, outbox
from edge.store.database.store import Store
from sync.agent.downlink import REFRESH_S
from sync.agent.timings import AGENT_TIMINGS
from sync.agent.uplink import events_of

EVENTS, ROUNDS = 4_000, 10
IDLE_S, KEEPALIVE_S, SHIPPED_KEEPALIVE_S, DAY_S = 16.0, 5, 30, 86_400
DEVICE, BARE = "kiosk-1", "bare"


def measure() -> Iterator[Measurement]:
    """Events a second, bytes of a redemption and of an idle day, snapshot rows a second."""
    with tempfile.TemporaryDirectory(dir=scratch(), prefix="sync-bench-") as name:
        folder = Path(name)
        field = Field(folder, {DEVICE: "shop-1", BARE: "shop-1"})
        try:
            field.start_broker()
            field.start_hub()
            yield from _settled(field)
            yield from _bytes(field)
        finally:
            field.close()
    yield from snapshot.measure()


# Events settled


def _settled(field: Field) -> Iterator[Measurement]:
    store = store_of(field, DEVICE)
    append(store, 1)
    sync = start_sync(field, DEVICE, field.profile(DEVICE))
    bare = _bare_client(field)
    ours: list[float] = []
    theirs: list[float] = []
    try:
        until(lambda: outbox.backlog(store).pending == 0)
        for turn in range(ROUNDS):
            for mine in (True, False) if turn % 2 else (False, True):
                (ours if mine else theirs).append(
                    EVENTS / (_settle(store) if mine else _publish(bare))
                )
    finally:
        sync.stop()
        bare.loop_stop()
    # The quicker quarter of both: what else the machine does makes a round slower, never quicker.
    value, peer = (statistics.quantiles(rates, n=4)[2] for rates in (ours, theirs))
    yield Measurement(
        "sync.events_settled",
        value,
        "1/s",
        "bare paho QoS 1 publishes of the same events",
        value / peer,
    )


def _settle(store: Store) -> float:
    """Seconds from the commit of the events until the platform has acknowledged the last."""
    append(store, EVENTS)
    began = time.perf_counter()
    until(lambda: _last_settled(store))
    return time.perf_counter() - began


def _last_settled(store: Store) -> bool:
    """A cheap question: it is asked while the device works."""
    row = (
        store.connection()
        .execute(
            "SELECT settled_through >= (SELECT max(seq) FROM outbox o WHERE o.epoch_no = e.no) FROM epoch e"
            " ORDER BY no DESC LIMIT 1"
        )
        .fetchone()
    )
    return bool(row[0])


def _publish(client: mqtt.Client) -> float:
    """Seconds for as many publishes of one event each, until the broker has acknowledged the last."""
    row = outbox.OutboxRow(
        epoch="", seq=1, id=ident(), type="redeemed", body=redemption(), at=now()
    )
    ((_, event),) = events_of([row], after_seq=0, until_bytes=1)
    began = time.perf_counter()
    sent = [client.publish(f"v1/main/{BARE}/up/tel", event, qos=1) for _ in range(EVENTS)]
    for each in sent:
        each.wait_for_publish(60)
    return time.perf_counter() - began


def _bare_client(field: Field) -> mqtt.Client:
    files = field.files
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=BARE, protocol=mqtt.MQTTv5)
    client.tls_set(str(files.ca), str(files.certificate(BARE)), str(files.key(BARE)))
    client.connect("127.0.0.1", field.site.port)
    client.loop_start()
    until(client.is_connected)
    return client


# Bytes on the wire


class Relay:
    """Carries TCP between a device and the broker, and counts: TLS and MQTT, without the headers of TCP and IP."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self.up = self.down = 0
        self._to = port
        self._stop = False
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    @property
    def total(self) -> int:
        """Both directions."""
        return self.up + self.down

    def close(self) -> None:
        """End."""
        self._stop = True
        self._thread.join(5)
        self._server.close()

    def _carry(self) -> None:
        device, _ = self._server.accept()
        broker = socket.create_connection(("127.0.0.1", self._to))
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


def _bytes(field: Field) -> Iterator[Measurement]:
    store = store_of(field, DEVICE)
    relay = Relay(field.site.port)
    profile = field.profile(DEVICE, port=relay.port)
    profile.write_text(
        profile.read_text().replace("[mqtt]\n", f"[mqtt]\nkeepalive_s = {KEEPALIVE_S}\n")
    )
    sync = start_sync(field, DEVICE, profile)
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
    """What a day without a redemption costs: pings, measured and scaled to the shipped keepalive.

    To these come the rare exchanges, each counted as dear as a redemption: the question where the platform is, the
    question for orders, the hourly page that says that nothing is new.
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
