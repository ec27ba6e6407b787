"""Devices that send what they should not: their own messages suffer, and nobody else's."""

import json
import os
import random
import time

import pytest

from benchmarks.flooding import Flooder
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import Ack
from sync.wire.topics import Topic, Up
from tests.support.broker import until
from tests.support.broker_sessions import connected
from tests.support.platform_processes import Platform
from tests.support.postgres import running_postgres
from tests.support.shared_data import shared_json

FLOODERS = {f"flooder-{number}": "shop-1" for number in range(10)}
DEVICES = {"kiosk-1": "shop-1", "kiosk-2": "shop-1", **FLOODERS}


@pytest.fixture(scope="module", params=["file", "postgres"])
def platform(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    if request.param == "file":
        with Platform(folder, DEVICES) as running:
            yield running
        return
    with running_postgres() as server, Platform(folder, DEVICES, database=server.database()) as it:
        yield it


def session_of(platform: Platform, name: str) -> MqttSession:
    filters = [f"v1/main/{name}/dn/ack"]
    return connected(MqttSession(platform.broker.endpoint(name), filters, uniform=random.uniform))


def acknowledged(session: MqttSession, name: str, payload: bytes) -> Ack:
    """Send a batch, and return its acknowledgement."""
    session.publish(str(Topic("main", name, Up.EVENTS)), payload)
    found: list[Ack] = []

    def has_come() -> bool:
        for arrival in session.step(0.05):
            session.acknowledge(arrival)
            found.append(codec.decode_addressed(Ack, arrival.payload, dev=name))
        return bool(found)

    until(has_come, what="an acknowledgement")
    return found[-1]


def test_an_event_that_no_store_can_hold_is_refused_alone_and_the_hub_goes_on(platform):
    unfit = shared_json("field", "nul-postgres", "event.json")
    others = [unfit | {"seq": seq, "id": f"id-{seq}", "body": {}, "type": "note"} for seq in (1, 3)]
    events = [json.dumps(event).encode() for event in (others[0], unfit, others[1])]
    session, child = session_of(platform, "kiosk-2"), platform.hub.child
    for _ in range(2):
        ack = acknowledged(session, "kiosk-2", codec.encode_batch("kiosk-2", "e", 0, 0, events))
        assert [(item.seq, item.reason) for item in ack.rejected] == [(2, "value_unfit")]
        assert ack.committed_through == 3
    session.close()
    assert platform.hub.child is child
    assert child.poll() is None


def test_a_device_withholds_what_no_store_can_hold(platform):
    device = platform.devices["kiosk-1"]
    device.redeem()
    device.redeem(type="review", body={"cti": os.urandom(16).hex(), "reason": "looked at\0it"})
    device.redeem()
    with device.sync:
        device.wait_acknowledged()
    with device.store.read() as connection:
        rows = connection.execute("SELECT seq, rejected FROM outbox ORDER BY seq").fetchall()
    assert rows == [(1, None), (2, "value_unfit"), (3, None)]


def test_ten_devices_that_flood_leave_the_others_their_turns(platform):
    platform.import_orders(
        {"cti": "00" * 15 + "07", "order_id": "A-1", "kind": "write_off", "home_site": "shop-1"}
    )
    flooders = [
        Flooder(
            name,
            session_of(platform, name),
            str(Topic("main", name, Up.EVENTS)),
            f"{random.getrandbits(128):032x}",
            in_flight=100,
        )
        for name in FLOODERS
    ]
    honest, waits_s = session_of(platform, "kiosk-2"), []
    deadline_s = time.monotonic() + 60
    while "over_its_share" not in platform.hub.text:
        for flooder in flooders:
            flooder.step()
        assert time.monotonic() < deadline_s
    for _ in range(5):
        began_s = time.monotonic()
        acknowledged(honest, "kiosk-2", codec.encode_batch("kiosk-2", "e", 3, 0, []))
        waits_s.append(time.monotonic() - began_s)
    refused = [json.loads(line) for line in platform.hub.text.splitlines() if "over_its" in line]
    assert {line["dev"] for line in refused} <= set(FLOODERS)
    until(lambda: platform.metric("edge_hub_refused_messages_total", "over_its_share"))
    assert platform.metric("edge_hub_waiting_messages") > 10
    assert sorted(waits_s)[2] < 1.0
    for flooder in flooders:
        flooder.session.close()
