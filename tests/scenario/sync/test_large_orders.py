"""Orders that would make a page above the broker's limit: the fleet notices nothing."""

import json
import time

import pytest

from edge.store import order_cache
from sync.hub.orders import order_lines
from tests.support.broker import until
from tests.support.platform_processes import Platform
from tests.support.shared_data import shared_data

SOLD = 600  # with a long Chinese rule each
MOVED = 65_000  # to another site
DEVICES = {"kiosk-1": "shop-1", "kiosk-2": "shop-2"}


def fat_order(number: int) -> dict:
    text = shared_data("field", "page-too-large", "one-order.jsonl").read_text(encoding="utf-8")
    return {**json.loads(text), "cti": f"{number:032x}", "order_id": f"A-{number}"}


def small_order(number: int, site: str) -> dict:
    return {
        "cti": f"{number:032x}",
        "order_id": f"B-{number}",
        "kind": "write_off",
        "home_site": site,
    }


def is_whole(platform: Platform, name: str) -> bool:
    device = platform.devices[name]
    with platform.hub_store() as store, store.read() as connection:
        head, digest = connection.execute(
            "SELECT head, digest FROM feed WHERE site = ?", (DEVICES[name],)
        ).fetchone()
    feed = order_cache.feed_state(device.store)
    return feed.revision == head and order_cache.digest_matches(device.store, bytes(digest))


def assert_unnoticed(platform: Platform) -> None:
    """No connection was lost, and nobody had to set a message aside."""
    assert platform.metric("edge_hub_connections_total") == 1
    assert platform.metric("edge_hub_oversized_publishes_total") == 0
    for device in platform.devices.values():
        assert device.metric("edge_sync_connections_total") == 1
        device.redeem()
        device.wait_acknowledged()


@pytest.mark.parametrize("moved", [2_000, pytest.param(MOVED, marks=pytest.mark.slow)])
def test_fat_orders_and_a_move_of_many_reach_a_running_fleet_as_pages(tmp_path, moved):
    with Platform(tmp_path, DEVICES) as platform:
        first = SOLD + 1
        platform.import_orders(
            *(small_order(number, "shop-1") for number in range(first, first + moved))
        )
        kiosk, other = platform.devices.values()
        with kiosk.sync, other.sync:
            until(lambda: is_whole(platform, "kiosk-1"), what=kiosk.health)
            platform.import_orders(*map(fat_order, range(SOLD)))
            until(lambda: is_whole(platform, "kiosk-1"), what=kiosk.health)
            platform.import_orders(
                *(small_order(number, "shop-2") for number in range(first, first + moved))
            )
            with platform.hub_store() as store, store.transaction() as connection:
                order_lines.confirm_orders(
                    connection, "shop-1", by="zoe", reason="they moved", now_s=int(time.time())
                )
            for name in DEVICES:
                until(lambda name=name: is_whole(platform, name), what=kiosk.health)
            assert order_cache.count(kiosk.store) == SOLD
            assert order_cache.count(other.store) == moved
            assert_unnoticed(platform)
