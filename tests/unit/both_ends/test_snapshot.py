"""A device with an empty store gets all of a site's orders, whatever breaks off."""

import os
import random
import sqlite3
import tracemalloc
from collections import deque
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.domain.order_row import row_of
from edge.store import order_cache as cache
from edge.store.opening import open_store
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.signed_document import sign_document
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.agent.downlink import Downlink
from sync.agent.order_intake import DIGEST_WRONG
from sync.agent.outcomes import DownlinkRefusal
from sync.hub.orders import order_lines
from sync.hub.store import feed_table
from sync.hub.store.opening import open_hub_store
from sync.wire import order_feed

NOW = Instant(unix_s=1_800_000_000)
KEY = signer(Ed25519PrivateKey.generate())
MB = 2**20


class Trusting:
    """Anchors with the feed's key."""

    feed_key = TrustedKey(
        key=KEY.public, purposes=frozenset({Purpose.ORDER_FEED}), not_before_s=0, expires_at_s=2**33
    )
    trust = TrustList(version=1, issued_at_s=0, expires_at_s=2**33 - 1, keys=(feed_key,))


class World:
    """A hub with orders, a device, and pages on their way between them."""

    def __init__(self, folder, rows):
        self.hub = open_hub_store(folder / "hub")
        self.store = open_store(
            folder / "dev", device_id="k", now_s=NOW.unix_s, random_bytes=os.urandom
        ).store
        self.time_s = 0.0
        self.pages: deque[bytes] = deque()
        self.now_us = 1
        self.sell({"cti": os.urandom(16).hex()} for _ in range(rows))
        self.restart()

    def sell(self, lines):
        fixed = {"order_id": "A-1", "kind": "pickup", "home_site": "shop-1", "compartments": ["A1"]}
        self.now_us += 1_000_000
        with self.hub.transaction() as connection:
            return order_lines.put_lines(
                connection,
                (order_lines.OrderLine(**{**fixed, **line}) for line in lines),
                self.now_us,
            )

    def restart(self):
        """Start the device's process anew: only its store remains."""
        self.pages.clear()
        self.downlink = Downlink(
            self.store,
            Roots(version=0, keys=()),
            Trusting(),
            device="k",
            site="shop-1",
            vouch=lambda _: None,
        )
        self.downlink.request_now(self.time_s)

    def turn(self):
        """Ask what is due, and take one page."""
        self.time_s += 0.1
        if (request := self.downlink.next_request(self.time_s, new_id=lambda: "r")) is not None:
            with self.hub.transaction() as connection:
                for page in order_lines.pages_for(
                    connection, "shop-1", request, now_s=NOW.unix_s, now_us=self.now_us
                ):
                    self.pages.append(
                        sign_document(order_feed.page_payload(page), Purpose.ORDER_FEED, KEY)
                    )
        if self.pages:
            return self.downlink.receive_page(self.pages.popleft(), NOW, self.time_s)
        return None

    @property
    def whole(self):
        with self.hub.read() as connection:
            return cache.feed_state(self.store).revision == feed_table.heads(connection)["shop-1"]

    def load(self, *, turns=10**9, each=lambda world: None):
        """Go on until the device has all of it; returns how many turns it took."""
        for turn in range(turns):
            if self.whole and not self.pages:
                return turn
            each(self)
            self.turn()
        raise AssertionError(f"not whole: {cache.feed_state(self.store)}")

    def load_again(self):
        """Load a whole snapshot although the device has one."""
        while cache.feed_state(self.store).must_reload or self.pages:
            self.turn()

    def assert_equal(self):
        with self.hub.read() as connection:
            theirs = {
                cti
                for (cti,) in connection.execute(
                    "SELECT cti FROM entitlement WHERE site = 'shop-1'"
                )
            }
            (digest,) = connection.execute(
                "SELECT digest FROM feed WHERE site = 'shop-1'"
            ).fetchone()
        with self.store.read() as connection:
            mine = {cti for (cti,) in connection.execute("SELECT cti FROM entitlement")}
        assert mine == theirs
        assert cache.digest_matches(self.store, digest)


def test_a_snapshot_comes_in_runs_of_pages_and_is_whole(tmp_path):
    world = World(tmp_path, 5_300)
    assert world.load() <= 11 + 3  # pages, and a turn for each request that brought none
    world.assert_equal()


def test_a_snapshot_that_breaks_off_anywhere_continues_from_there(tmp_path):
    world, chance = World(tmp_path, 6_100), random.Random(5)
    furthest = [0]

    def trouble(world):
        state = cache.feed_state(world.store)
        assert state.revision or state.next_page >= furthest[0], "it began again"
        furthest[0] = state.next_page
        match chance.randrange(5):
            case 0:
                world.restart()
            case 1 if world.pages:
                world.pages.popleft()  # lost
            case 2 if world.pages:
                world.pages.append(world.pages[0])  # doubled, late
            case 3 if len(world.pages) > 1:
                world.pages.rotate(1)

    world.load(turns=20_000, each=trouble)
    world.assert_equal()


def test_orders_that_change_while_the_snapshot_is_on_its_way_are_right_in_the_end(tmp_path):
    world, chance = World(tmp_path, 3_000), random.Random(6)
    with world.hub.read() as connection:
        ctis = [cti.hex() for (cti,) in connection.execute("SELECT cti FROM entitlement")]

    def changes(world):
        if world.now_us < 20_000_000:
            world.sell(
                [{"cti": chance.choice(ctis), "status": "cancelled"}, {"cti": os.urandom(16).hex()}]
            )
            world.sell([{"cti": chance.choice(ctis), "home_site": "shop-2"}])

    world.load(turns=5_000, each=changes)
    world.assert_equal()


def test_a_cache_that_is_not_what_the_platform_has_is_found_and_loaded_again(tmp_path):
    world = World(tmp_path, 1_200)
    world.load()
    with world.store.transaction() as connection:  # as a bug, or a disk, might
        connection.execute("UPDATE feed SET digest = zeroblob(32)")
        connection.execute("DELETE FROM entitlement WHERE cti = (SELECT max(cti) FROM entitlement)")
    world.sell([{"cti": os.urandom(16).hex()}])
    world.restart()
    outcomes = [world.turn() for _ in range(12)]
    assert [item.reason for item in outcomes if isinstance(item, DownlinkRefusal)] == [DIGEST_WRONG]
    while cache.delete_stale(world.store):
        pass
    world.assert_equal()


def test_what_a_snapshot_left_behind_is_removed_when_nothing_else_is_to_be_done(tmp_path):
    """A cache that was loaded again holds what a person no longer has, until it is removed."""
    world = World(tmp_path, 1_200)
    world.load()
    with world.store.transaction() as connection:
        connection.execute("UPDATE feed SET reload = 1")
        connection.execute(
            "UPDATE entitlement SET cti = randomblob(16)"
            " WHERE cti < (SELECT cti FROM entitlement LIMIT 1 OFFSET 200)"
        )
    world.restart()
    world.load_again()
    assert rows_here(world) > 1_200
    world.restart()  # a process that ends in between only delays it
    for _ in range(10):
        world.downlink.remove_stale_rows()
    assert rows_here(world) == 1_200
    world.assert_equal()
    before = world.store.data_version()
    world.downlink.remove_stale_rows()
    assert world.store.data_version() == before


def rows_here(world):
    return world.store.connection().execute("SELECT count(*) FROM entitlement").fetchone()[0]


def test_pages_are_applied_one_by_one_and_not_collected(tmp_path):
    """Python needs about the same memory for a snapshot of eight pages and of sixty-four."""
    held = []
    for count in (8, 8, 64):  # the first is there to fill what is filled once
        world = World(tmp_path / str(len(held)), 0)
        pages = [page_of_new_orders(number, last=number == count - 1) for number in range(count)]
        tracemalloc.start()
        try:
            for page in pages:
                world.downlink.receive_page(page, NOW, 0.0)
            held.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert cache.count(world.store) == 50 * count
    assert held[2] < 2 * held[1], held  # the interpreter keeps a few small things for its own use


def page_of_new_orders(number, *, last):
    line = {"order_id": "A-1", "kind": "pickup", "home_site": "shop-1"}
    rows = tuple(
        row_of(order_lines.OrderLine(cti=os.urandom(16).hex(), **line).entitlement())
        for _ in range(50)
    )
    page = order_feed.Snapshot(
        site="shop-1",
        issued_at_s=NOW.unix_s,
        incarnation=bytes(16),
        revision=10**9,
        page=number,
        last=last,
        rows=rows,
    )
    return sign_document(order_feed.page_payload(page), Purpose.ORDER_FEED, KEY)


def memory() -> int:
    """Of this process, resident, bytes (proc(5))."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


@pytest.mark.parametrize(
    ("rows", "growth_mb"),
    [
        pytest.param(20_000, 40, id="20,000 entitlements"),
        pytest.param(
            1_000_000,
            80,
            id="1,000,000 entitlements",
            marks=[pytest.mark.slow, pytest.mark.timeout(1800)],
        ),
    ],
)
def test_memory_stays_bounded_however_many_there_are(memory_folder, rows, growth_mb):
    """Hub and device in one process: of neither does memory grow with the rows."""
    world, chance = World(memory_folder(), rows), random.Random(7)
    highest, before = [0], memory()

    def watch(world):
        highest[0] = max(highest[0], memory())
        if chance.random() < 0.02:
            world.restart()

    world.load(each=watch)
    assert cache.count(world.store) == rows
    assert highest[0] - before < growth_mb * MB
    with sqlite3.connect(world.store.path) as connection:
        assert connection.execute("SELECT count(*) FROM entitlement").fetchone() == (rows,)
    world.sell([{"cti": os.urandom(16).hex()}])
    world.restart()
    world.load()
    assert cache.count(world.store) == rows + 1
