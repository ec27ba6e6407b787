"""The hub's store is lost, or its orders shrink: real processes, and no device loses an order."""

import json
import os
import subprocess
import time
from contextlib import ExitStack

import pytest

from edge.domain.redemption_state import DevicePlace
from edge.store import order_cache
from edge.values.instant import Instant
from tests.support.broker import until
from tests.support.platform_processes import BIN, Device, Platform
from tests.support.postgres import running_postgres
from tests.support.sample_shop import code, redeemer

DEVICES = {"kiosk-1": "shop-1", "kiosk-2": "shop-1"}
SOLD = 17


class Shop:
    """A platform, and what it sold."""

    def __init__(self, platform: Platform):
        self.platform = platform
        self.now_s = int(time.time())
        self.claims = [
            code(
                cti=os.urandom(16),
                audience="shop-1",
                not_before_s=self.now_s - 60,
                expires_at_s=self.now_s + 3600,
            )
            for _ in range(SOLD)
        ]

    def import_orders(self, *, home_device: str | None = "kiosk-1") -> None:
        lines = [
            {
                "cti": claims.cti.hex(),
                "order_id": claims.order_id,
                "kind": "write_off",
                "home_site": "shop-1",
                "home_device": home_device,
            }
            for claims in self.claims
        ]
        file = self.platform.folder / "orders.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.hub("orders", "import", str(file))

    def hub(self, *command: str) -> None:
        """Run a command of ``edge-hub`` beside the hub."""
        *words, last = command
        args = [str(BIN / "edge-hub"), *words, *(() if last.startswith("--") else (last,))]
        args += ["--config", self.platform.config]
        args += [last] if last.startswith("--") else []
        subprocess.run(args, check=True, capture_output=True)

    def status(self) -> subprocess.CompletedProcess:
        fleet = self.platform.broker.files.fleet_config
        return subprocess.run(
            [str(BIN / "edge-fleet"), "status", "--fleet", str(fleet)],
            check=False,
            capture_output=True,
            text=True,
        )

    def redeem(self, number: int):
        """Redeem a code at the first device, as its scanner does."""
        place = DevicePlace(
            device_id="kiosk-1", site_id="shop-1", groups=frozenset(), compartments=frozenset()
        )
        store = self.platform.devices["kiosk-1"].store
        return redeemer(store, place=place).redeem(
            self.claims[number], Instant(unix_s=int(time.time()))
        )


@pytest.fixture(params=["file", "postgres"])
def shop(request, tmp_path):
    with ExitStack() as stack:
        database = None
        if request.param == "postgres":
            database = stack.enter_context(running_postgres()).database()
        platform = stack.enter_context(Platform(tmp_path, DEVICES, database=database))
        shop = Shop(platform)
        shop.import_orders()
        for device in platform.devices.values():
            device.sync.start()
            until(lambda device=device: len(here(device)) == SOLD, what="the orders")
        assert "held" not in shop.status().stderr
        yield shop


def here(device: Device) -> list:
    return order_cache.entitlements(device.store)


def lose_the_store(platform: Platform) -> None:
    """Lose everything that the hub has stored, and start it again."""
    platform.hub.kill()
    if platform.broker.site.database is not None:
        import psycopg

        with psycopg.connect(platform.broker.site.database, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    for file in (platform.broker.files.folder / "hub-data").glob("*.db*"):
        file.unlink()
    platform.hub.start()


def resume(shop: Shop) -> None:
    shop.hub("resume", "--by=zoe", "--reason=the disk was replaced")


def test_a_lost_store_takes_no_order_away_and_a_person_makes_the_fleet_whole_again(shop):
    platform = shop.platform
    first, second = platform.devices.values()
    assert shop.redeem(0).is_accepted
    first.wait_acknowledged()
    lose_the_store(platform)
    until(lambda: "hub_held" in platform.hub.text, what=lambda: platform.hub.text[-2000:])
    until(lambda: platform.metric("edge_hub_held") == 1, what="the metrics name it")
    status = shop.status()
    assert status.returncode == 1
    assert "The hub is held" in status.stderr
    assert "orders of another store" in status.stderr
    until(lambda: "platform_held" in first.health()["problems"], what=first.health)
    assert len(here(first)) == len(here(second)) == SOLD
    assert shop.redeem(1).is_accepted, "a sold voucher stays good"
    until(lambda: len(platform.ledger("kiosk-1")) == 2, what="it takes events, old and new")
    shop.import_orders()
    assert "hub_resumed" not in platform.hub.text
    resume(shop)
    until(lambda: '"by": "zoe"' in platform.hub.text, what=lambda: platform.hub.text[-2000:])
    for device in (first, second):
        until(lambda device=device: is_whole(platform, device), what=first.health)
        assert len(here(device)) == SOLD
    until(lambda: "platform_held" not in first.health()["problems"], what=first.health)
    assert "held" not in shop.status().stderr
    assert not shop.redeem(1).is_accepted
    assert shop.redeem(2).is_accepted


def test_a_hub_that_is_resumed_too_early_takes_nothing_away_until_it_is_confirmed(shop):
    platform = shop.platform
    first, second = platform.devices.values()
    lose_the_store(platform)
    until(lambda: "hub_held" in platform.hub.text, what=lambda: platform.hub.text[-2000:])
    resume(shop)
    for device in (first, second):
        until(
            lambda device=device: "orders_shrunk" in device.health()["problems"],
            what=device.health,
        )
        assert len(here(device)) == SOLD
    assert first.metric("edge_sync_problem", "orders_shrunk") == 1
    until(lambda: "orders_shrunk" in shop.status().stdout, what=lambda: shop.status().stdout)
    assert shop.redeem(0).is_accepted
    # Those that are still right are imported: that snapshot takes the place of the empty one.
    kept, shop.claims = shop.claims, shop.claims[:3]
    shop.import_orders()
    until(lambda: order_cache.feed_state(first.store).dropped == SOLD - 3, what=first.health)
    assert len(here(first)) == SOLD
    shop.claims = kept
    shop.hub("orders", "confirm-shrink", "--site=shop-1", "--by=zoe", "--reason=they are over")
    for device in (first, second):
        until(lambda device=device: len(here(device)) == 3, what=device.health)
        until(lambda device=device: is_whole(platform, device), what=device.health)
    until(lambda: "orders_shrunk" not in shop.status().stdout, what=lambda: shop.status().stdout)


def is_whole(platform: Platform, device: Device) -> bool:
    """Return whether the device has the newest revision of the hub, and nothing waits."""
    state = order_cache.feed_state(device.store)
    with platform.hub_store() as store, store.read() as connection:
        (head,) = connection.execute("SELECT head FROM feed WHERE site = 'shop-1'").fetchone()
    return state.revision == head and state.dropped is None
