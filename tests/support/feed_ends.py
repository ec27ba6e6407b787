"""Both ends of a site's order feed in virtual time, and the pages on their way between them."""

import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.store import order_cache
from edge.store.opening import open_store
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.agent.downlink import Downlink
from sync.hub.orders import hold, order_lines
from sync.hub.orders.hold import HoldRule
from sync.hub.server.order_publisher import OrderPublisher
from sync.hub.store import feed_table, incarnation_table
from sync.hub.store.opening import open_hub_store
from sync.wire.limits import PageBounds

SITE = "shop-1"
START_S = 1_800_000_000
STEP_S = 0.1
KEY = signer(Ed25519PrivateKey.generate())
TWO_ROWS = PageBounds(most_items=2)  # a page: a few orders make many


class Trusting:
    """Anchors with the feed's key."""

    feed_key = TrustedKey(
        key=KEY.public, purposes=frozenset({Purpose.ORDER_FEED}), not_before_s=0, expires_at_s=2**33
    )
    trust = TrustList(version=1, issued_at_s=0, expires_at_s=2**33 - 1, keys=(feed_key,))


class FeedEnds:
    """A hub with a feed, a device, and ``pages``, which arrive only by ``act_on_page``."""

    def __init__(self, folder):
        self.folder = folder
        self.hubs = 0
        self.make_hub()
        opened = open_store(folder / "dev", device_id="k", now_s=START_S, random_bytes=os.urandom)
        self.store = opened.store
        self.time_s = 0.0
        self.pages: list[bytes] = []
        self.requests = 0
        self.restart()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hub.close()
        self.importer.close()
        self.store.close()

    @property
    def now(self) -> Instant:
        return Instant(unix_s=START_S + int(self.time_s))

    @property
    def now_us(self) -> int:
        return int((START_S + self.time_s) * 1_000_000)

    def make_hub(self):
        """Start a hub with a store of its own: the one before is lost, with what it had."""
        self.hubs += 1
        self.hub = open_hub_store(self.folder / f"hub-{self.hubs}")
        # Another process, as ``orders import`` is.
        self.importer = open_hub_store(self.folder / f"hub-{self.hubs}")
        self.publisher = OrderPublisher(
            KEY, heartbeat_s=3600.0, now_s=lambda: self.now.unix_s, bounds=TWO_ROWS
        )

    def lose_the_store(self):
        """Lose the hub's store. A new hub begins with none."""
        self.hub.close()
        self.importer.close()
        self.make_hub()

    @property
    def is_held(self) -> bool:
        with self.hub.read() as connection:
            return hold.is_held(connection)

    def resume(self):
        """Resume the hub, as ``edge-hub resume`` does."""
        with self.importer.transaction() as connection:
            hold.resume(connection, by="zoe", reason="a test", now_s=self.now.unix_s)
        self.publisher.announce()

    def confirm(self):
        """Confirm the orders as they are, as ``edge-hub orders confirm-shrink`` does."""
        with self.importer.transaction() as connection:
            order_lines.confirm_orders(
                connection, SITE, by="zoe", reason="a test", now_s=self.now.unix_s
            )

    def restart(self):
        """Start the device's process anew: only its store remains."""
        self.downlink = Downlink(
            self.store,
            Roots(version=0, keys=()),
            Trusting(),
            device="k",
            site=SITE,
            vouch=lambda _: None,
        )
        self.downlink.request_now(self.time_s)

    def damage(self):
        """Make the cache differ from what the platform sent, as a disk might, and restart."""
        with self.store.transaction() as connection:
            connection.execute("UPDATE feed SET digest = zeroblob(32) WHERE digest IS NOT NULL")
        self.restart()

    def put(self, cti: bytes, **changes):
        """Write an order line at the hub."""
        line = {"cti": cti.hex(), "order_id": "A-1", "kind": "write_off", "home_site": SITE}
        with self.importer.transaction() as connection:
            order_lines.put_lines(
                connection, [order_lines.OrderLine(**{**line, **changes})], self.now_us
            )

    def step(self, seconds: float = STEP_S):
        """Let time pass. The hub publishes what is due, and replies to what the device requests."""
        self.time_s += seconds
        pages = [] if self.is_held else self.publisher.due_pages(self.hub, self.time_s)
        self.pages += [page for node, page in pages if node == f"site-{SITE}"]
        request = self.downlink.next_request(self.time_s, new_id=lambda: "r")
        if request is None:
            return
        self.requests += 1
        with self.hub.transaction() as connection:
            if not hold.check_request(
                connection, request, site=SITE, rule=HoldRule(), now_s=self.now.unix_s
            ):
                return
            pages = order_lines.pages_for(
                connection,
                SITE,
                request,
                now_s=self.now.unix_s,
                now_us=self.now_us,
                bounds=TWO_ROWS,
            )
            self.pages += [self.publisher.sign_page(page) for page in pages]

    def act_on_page(self, what: str, place: int):
        """Deliver, double or lose the page at ``place``."""
        if what == "double":
            self.pages.append(self.pages[place])
        else:
            page = self.pages.pop(place)
            if what == "deliver":
                self.receive(page)

    def receive(self, page: bytes):
        return self.downlink.receive_page(page, self.now, self.time_s)

    def calm_until_whole(self, most_s: float) -> float:
        """Deliver everything, in order, until the device is whole; return how long it took."""
        begun_s = self.time_s
        while self.time_s - begun_s <= most_s:
            self.step()
            while self.pages:
                self.receive(self.pages.pop(0))
            if self.is_whole:
                break
        return self.time_s - begun_s

    @property
    def is_whole(self) -> bool:
        """Return whether the device has the newest revision and knows it to be right."""
        with self.hub.read() as connection:
            feed = feed_table.feed_of(connection, SITE)
            incarnation = incarnation_table.present_incarnation(connection)
        with self.store.read() as connection:
            (digest,) = connection.execute("SELECT digest FROM feed").fetchone()
        state = order_cache.feed_state(self.store)
        return (
            feed is not None
            and (state.revision, digest) == (feed.head, feed.digest)
            and state.incarnation == incarnation
            and state.snapshot_revision is None
        )

    def requests_in(self, seconds: float) -> int:
        """Return how many requests the device sends in the next ``seconds`` of calm."""
        asked, end_s = self.requests, self.time_s + seconds
        while self.time_s < end_s:
            self.step(1.0)
            while self.pages:
                self.receive(self.pages.pop(0))
        return self.requests - asked

    def assert_equal(self):
        """Check that the valid orders of the device are those of the hub."""
        with self.hub.read() as connection:
            lines = feed_table.lines_after(connection, b"", 1000)
        theirs = {
            cti: (line.status, line.quantity)
            for cti, text in lines
            if (line := order_lines.OrderLine.model_validate_json(text)).home_site == SITE
        }
        mine = {
            row.cti: (row.status.value, row.quantity)
            for row in order_cache.entitlements(self.store)
        }
        assert mine == theirs
