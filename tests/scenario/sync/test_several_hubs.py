"""Several hub processes on one shared subscription: the result of one, whichever is killed."""

import os
import random
import re
import time
from pathlib import Path

import pytest

from edge.store import exception_cases, order_cache
from sync.hub.config import load_hub_config
from sync.hub.ledger import ingest
from sync.hub.orders.order_lines import OrderLine, put_lines
from sync.hub.store.interface import HubStore
from sync.hub.store.opening import open_hub_store
from sync.wire.messages import Batch, Event
from tests.support.broker import until
from tests.support.platform_processes import Device, Platform
from tests.support.postgres import running_postgres

DEVICES = {"kiosk-1": "shop-1", "kiosk-2": "shop-1", "kiosk-3": "shop-1"}
HUBS = 3


@pytest.fixture(scope="module", params=["postgres", pytest.param("file", marks=pytest.mark.slow)])
def platform(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hubs")
    if request.param == "file":
        with Platform(folder, DEVICES, hubs=HUBS) as running:
            yield running
        return
    with (
        running_postgres() as server,
        Platform(folder, DEVICES, hubs=HUBS, database=server.database()) as running,
    ):
        yield running


def store_of(platform: Platform) -> HubStore:
    config = load_hub_config(Path(platform.config))
    return open_hub_store(Path(config.data_dir), config.database)


def order(cti: bytes, **changes) -> dict:
    return {
        "cti": cti.hex(),
        "order_id": "A-1",
        "kind": "write_off",
        "home_site": "shop-1",
        **changes,
    }


def outcome(store: HubStore) -> dict[str, list]:
    """Return the rows that do not depend on when things happened."""
    questions = {
        "events": "SELECT dev, epoch, seq, id, type, body, refused FROM event"
        " ORDER BY dev, epoch, seq",
        "redemptions": "SELECT cti, dev, use_no, epoch, seq, units FROM redemption"
        " ORDER BY cti, dev, epoch, seq",
        "conflicts": "SELECT cti, dev, epoch, seq, other_dev, other_seq FROM conflict"
        " ORDER BY cti, dev, seq",
        "acknowledged": "SELECT dev, epoch, committed_through FROM stream ORDER BY dev, epoch",
    }
    with store.read() as connection:
        return {name: connection.execute(sql).fetchall() for name, sql in questions.items()}


def told_to_one_hub(
    folder: Path, devices: list[Device], sold: list[dict], platform: Platform
) -> HubStore:
    """Return the rows of one hub that ingests each device whole, one after another."""
    one = open_hub_store(folder)
    with one.transaction() as connection:
        put_lines(connection, [OrderLine(**line) for line in sold], time.time_ns() // 1000)
    for device in devices:
        for epoch, seq, identity, kind, body in device.ledger():
            event = Event(seq=seq, id=identity, ts=1, ts_trust="trusted", type=kind, body=body)
            with one.transaction() as connection:
                ingest.ingest_batch(connection, Batch(device.name, epoch, 0, 0, (event,)), 1)
    return one


def test_three_hubs_of_which_any_may_die_come_to_what_one_comes_to(platform, tmp_path):
    chance = random.Random(11)
    vouchers = [os.urandom(16) for _ in range(60)]
    sold = [order(cti) for cti in vouchers]
    platform.import_orders(*sold)
    devices = list(platform.devices.values())
    for device in devices:
        device.sync.start()
    for number, cti in enumerate(vouchers):
        for device in chance.sample(
            devices, 2 if number % 3 == 0 else 1
        ):  # every third is redeemed at two devices
            device.redeem(cti)
        chance.choice(devices).redeem()
        if number % 10 == 5:
            victim = chance.choice(platform.hubs)
            victim.kill()
            time.sleep(chance.uniform(0.0, 0.3))
            victim.start()
        time.sleep(0.01)
    for device in devices:
        device.wait_acknowledged()
    one = told_to_one_hub(tmp_path, devices, sold, platform)
    assert outcome(store_of(platform)) == outcome(one)
    for device in devices:
        assert platform.ledger(device.name) == device.ledger()
    with one.read() as connection:
        assert connection.execute("SELECT count(*) FROM conflict").fetchone() == (
            2 * len(vouchers[::3]),
        )
    for device in devices:  # each device that redeemed one of those hears of it
        with one.read() as connection:
            found = connection.execute(
                "SELECT count(DISTINCT cti) FROM conflict WHERE dev = ?", (device.name,)
            )
            (expected,) = found.fetchone()
        until(
            lambda d=device, n=expected: kinds(d).count("platform_conflict") == n,
            what=lambda d=device: kinds(d),
        )
        device.sync.stop()
    assert not any("Traceback" in hub.text for hub in platform.hubs)


def test_every_hub_takes_its_part(platform):
    """A shared subscription that gave all to one process would be of no use."""
    device = platform.devices["kiosk-1"]
    with device.sync:
        for _ in range(12):
            device.redeem()
            device.wait_acknowledged()
    until(
        lambda: all(_events(platform, hub) for hub in platform.hubs),
        what=lambda: [_events(platform, hub) for hub in platform.hubs],
    )
    quiet = platform.hubs[0]
    with device.sync:
        for hub in platform.hubs[1:]:
            hub.kill()
        device.redeem()
        device.wait_acknowledged()
        for hub in platform.hubs[1:]:
            hub.start()
        quiet.kill()
        device.redeem()
        device.wait_acknowledged()
        quiet.start()


def test_when_the_hub_that_speaks_to_groups_dies_another_does(platform):
    device = platform.devices["kiosk-2"]
    with device.sync:
        until(lambda: order_cache.feed_state(device.store).revision, what="orders")
        for _ in range(2):
            leader = until(lambda: _leader(platform), what="a hub leads")
            leader.kill()
            cti = os.urandom(16)
            platform.import_orders(order(cti))
            until(
                lambda cti=cti: order_cache.find(device.store, cti),
                15,
                "another hub tells of the new order",
            )
            starts = leader.text.count('"started"')
            leader.start()
            until(lambda of=leader, n=starts: of.text.count('"started"') > n, what="it is back")


def _events(platform: Platform, hub) -> float:
    """How many events a hub says that it took since it started."""
    folder = Path(load_hub_config(Path(platform.config)).data_dir)
    text = (folder / f"{hub.output.stem}.prom").read_text()
    return float(re.search(r'edge_hub_events_total{outcome="new"} (\S+)', text)[1])


def kinds(device: Device) -> list[str]:
    return [case.kind for case in exception_cases.cases(device.store)]


def _leader(platform: Platform):
    """Return the hub that became the leader after its newest start."""
    for hub in platform.hubs:
        if '"became_leader"' in hub.text.rpartition('"started"')[2]:
            return hub
    return None
