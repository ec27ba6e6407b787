"""A snapshot through a real broker that breaks off at random pages and continues from there."""

import os
import random

import pytest
from hardware_sim.faults.mqtt_proxy import CUT, NetworkFault

from edge.store import order_cache
from sync.wire.order_feed import PAGE_ROWS
from tests.support.broker import until
from tests.support.faulty_network import proxied
from tests.support.platform_processes import Platform

SLOW = NetworkFault(
    bytes_per_s=400_000
)  # so that there is time to break something between two pages
PAGES = 24


@pytest.fixture
def platform(tmp_path):
    with Platform(tmp_path, {"kiosk-1": "shop-1"}) as running:
        yield running


def test_a_snapshot_continues_after_its_hub_line_or_device_died_at_random_pages(
    platform,
):
    device, chance = platform.devices["kiosk-1"], random.Random(11)
    ctis = {os.urandom(16) for _ in range(PAGES * PAGE_ROWS)}
    line = {"order_id": "A", "kind": "pickup", "home_site": "shop-1"}
    platform.import_orders(*({"cti": cti.hex(), **line} for cti in ctis))
    at = sorted(chance.sample(range(1, PAGES - 1), 6))
    faults = chance.sample(["hub", "line", "device"] * 2, len(at))
    seen = []
    with proxied(platform, device) as proxy:
        proxy.fault = SLOW
        for page, fault in zip(at, faults, strict=True):
            until(
                lambda page=page: order_cache.feed_state(device.store).next_page >= page,
                40,
                what=f"page {page}",
            )
            break_it(fault, platform, device, proxy)
            seen.append(order_cache.feed_state(device.store))
        until(lambda: order_cache.feed_state(device.store).revision, 60, what="all of it")
    assert {state.revision for state in seen} == {0}  # each broke it off
    assert (
        len({state.snapshot_revision for state in seen}) == 1
    )  # and it was one and the same snapshot all the way
    assert [state.next_page for state in seen] == sorted(state.next_page for state in seen)
    assert {row.cti for row in every(device.store)} == ctis
    with platform.hub_store() as store, store.read() as connection:
        (digest,) = connection.execute("SELECT digest FROM feed WHERE site = 'shop-1'").fetchone()
    assert order_cache.digest_matches(device.store, bytes(digest))


def break_it(fault, platform, device, proxy):
    match fault:
        case "hub":
            platform.hub.kill()
            platform.hub.start()
        case "device":
            device.sync.kill()
            device.sync.start()
        case "line":
            proxy.fault = CUT
            until(
                lambda: device.health().get("link") in ("connection_lost", "broker_unreachable"),
                what="the cut",
            )
            proxy.fault = SLOW


def every(store):
    after = b""
    while rows := order_cache.entitlements(store, after=after):
        yield from rows
        after = rows[-1].cti
