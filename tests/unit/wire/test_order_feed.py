"""The order feed's pages: read whole or not at all, and resumable wherever they are cut."""

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.order_row import EMPTY_DIGEST, Row, row_digest, row_of, xor
from edge.token import cbor
from sync.hub.orders import order_lines
from sync.hub.store import feed_table
from sync.hub.store.opening import open_hub_store
from sync.wire.limits import MOST_MESSAGE_BYTES, PAGE_BYTES, PageBounds
from sync.wire.messages import MessageFault, MessageRefusal, OrdersRequest
from sync.wire.order_feed import Delta, Snapshot, page_payload, read_page
from sync.wire.order_feed_cbor import Decoded
from tests.support.order_feed_pages import deltas, snapshots, texts


@given(snapshots | deltas)
def test_a_page_is_read_as_it_was_written(page):
    payload = cbor.decode(cbor.encode(page_payload(page)), cbor.DOCUMENT_LIMITS)
    assert read_page(payload, site="shop-1") == page


@given(snapshots | deltas, st.data())
def test_a_page_with_any_field_exchanged_is_refused_or_read_and_never_raises(page, data):
    payload = page_payload(page)
    label = data.draw(st.sampled_from(sorted(payload)))
    payload[label] = data.draw(
        st.none() | st.booleans() | st.integers() | st.binary() | texts | st.just([[1]])
    )
    assert isinstance(read_page(payload, site="shop-1"), Snapshot | Delta | MessageRefusal)


@pytest.mark.parametrize("payload", [None, 1, [], {}, {1: 3}, {99: 1}, {"kind": 1}])
def test_a_value_that_is_no_page_is_refused(payload):
    assert read_page(payload, site="shop-1").fault is MessageFault.WRONG_SHAPE


@pytest.mark.parametrize("kind", [1.0, 2.0, True, 0, 3])
def test_a_page_of_an_unknown_kind_is_refused(kind):
    """Read by the strict reader and by the quick one, which accepts floats."""
    page = Snapshot(
        site="shop-1", issued_at_s=1, incarnation=bytes(16), revision=1, page=0, last=True, rows=()
    )
    delta = {8: 0, 9: 1, 10: 1, 11: [], 12: bytes(32)}
    for more in ({}, delta):
        payload = {**page_payload(page), **more, 1: kind}
        for item in (payload, Decoded(cbor2.loads(cbor2.dumps(payload)))):
            assert read_page(item, site="shop-1").fault is MessageFault.WRONG_SHAPE


def test_a_page_for_another_site_is_refused():
    page = Snapshot(
        site="shop-2", issued_at_s=1, incarnation=bytes(16), revision=1, page=0, last=True, rows=()
    )
    assert read_page(page_payload(page), site="shop-1").fault is MessageFault.WRONG_SITE


def line(number: int, **changes) -> order_lines.OrderLine:
    cti = f"{number:032x}"
    return order_lines.OrderLine(
        **{"cti": cti, "order_id": "A", "kind": "pickup", "home_site": "shop-1", **changes}
    )


class Cache:
    """A minimal model of the device's cache of orders."""

    def __init__(self):
        self.rows: dict[bytes, Row] = {}
        self.revision = 0
        self.loading: tuple[int, int, dict] | None = None

    def request(self) -> OrdersRequest:
        revision, page, _ = self.loading or (0, 0, {})
        return OrdersRequest(dev="k", id="1", have=self.revision, snapshot=revision, page=page)

    def apply(self, page: Snapshot | Delta) -> None:
        if isinstance(page, Snapshot):
            revision, expected, rows = self.loading or (page.revision, 0, {})
            if revision != page.revision:
                revision, expected, rows = page.revision, 0, {}
            assert page.page == expected
            rows.update({row[0]: row for row in page.rows})
            self.loading = (revision, expected + 1, rows)
            if page.last:
                self.rows, self.revision, self.loading = rows, revision, None
        else:
            assert page.from_revision == self.revision
            self.rows.update({row[0]: row for row in page.rows})
            for cti in page.removed:
                self.rows.pop(cti, None)
            self.revision = page.to_revision


changes = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(["ready", "cancelled"]),
        st.sampled_from(["shop-1", "shop-2"]),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(changes | st.just("page"), max_size=25),
    bounds=st.builds(PageBounds, st.integers(1, 4), st.sampled_from([17, 120, 10_000])),
)
def test_a_feed_that_is_cut_and_changed_anywhere_ends_with_what_the_hub_has(
    memory_folder, steps, bounds
):
    """Orders change between pages. The device ends with exactly the hub's rows and their digest."""
    store = open_hub_store(memory_folder())
    cache, now_us = Cache(), 1000
    try:
        for step in [*steps, *["page"] * 60]:
            now_us += 1
            with store.transaction() as connection:
                if step == "page":
                    cache.apply(
                        order_lines.page_for(
                            connection,
                            "shop-1",
                            cache.request(),
                            now_s=1,
                            now_us=now_us,
                            bounds=bounds,
                        )
                    )
                else:
                    order_lines.put_lines(
                        connection,
                        [line(n, status=s, home_site=site) for n, s, site in step],
                        now_us,
                    )
        with store.read() as connection:
            held = connection.execute(
                "SELECT cti, line FROM entitlement WHERE site = 'shop-1'"
            ).fetchall()
            digest = order_lines.delta_page(connection, "shop-1", cache.revision, 1).digest
    finally:
        store.close()
    assert cache.rows.keys() == {cti for cti, _ in held}
    total = EMPTY_DIGEST
    for row in cache.rows.values():
        total = xor(total, row_digest(row))
    assert total == digest


def test_a_device_of_another_incarnation_is_sent_everything(tmp_path):
    store = open_hub_store(tmp_path)
    request = OrdersRequest(dev="k", id="1", incarnation="0" * 32, have=5000)
    with store.transaction() as connection:
        order_lines.put_lines(connection, [line(1)], 100)
        page = order_lines.page_for(connection, "shop-1", request, now_s=1, now_us=9000)
    assert isinstance(page, Snapshot)
    assert page.revision == 100
    assert len(page.rows) == 1


def test_a_line_that_changes_nothing_makes_no_revision(tmp_path):
    store = open_hub_store(tmp_path)
    with store.transaction() as connection:
        assert order_lines.put_lines(connection, [line(1)], 100) == 1
        assert order_lines.put_lines(connection, [line(1)], 200) == 0
        assert feed_table.heads(connection) == {"shop-1": 100}


def test_a_snapshot_of_no_orders_is_one_empty_last_page(tmp_path):
    with open_hub_store(tmp_path).transaction() as connection:
        page = order_lines.page_for(
            connection, "shop-1", OrdersRequest(dev="k", id="1", have=0), now_s=1, now_us=50
        )
    assert (page.rows, page.last, page.page) == ((), True, 0)
    assert page.revision > 0


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "Invalid JSON"),
        ('{"cti": "xy"}', "cti"),
        ('{"cti": "' + "0" * 32 + '"}', "order_id"),
        ('{"cti": "' + "0" * 32 + '", "order_id": "A", "kind": "gift", "home_site": "s"}', "kind"),
    ],
)
def test_the_refusal_of_an_order_line_names_the_field(text, word):
    found = order_lines.parse_line(text)
    assert isinstance(found, order_lines.LineRefusal)
    assert word in str(found)


LARGEST = {
    "order_id": "店" * 100,
    "home_device": "k" * 40,
    "quantity": 2**31 - 1,
    "amount_minor": 2**53 - 1,
    "currency": "CNY",
    "compartments": ["柜" * 100] * 64,
    "subject": "人" * 100,
    "campaign": "双" * 100,
    "rules": "满" * 1000,
}


def test_the_largest_legal_row_fits_a_page():
    assert len(cbor2.dumps(row_of(line(1, **LARGEST).entitlement()))) < PAGE_BYTES


def read_all(connection, *, have=0):
    """Return the pages that a device gets that asks until it has everything."""
    found, snapshot = [], (0, 0)
    while True:
        request = OrdersRequest(dev="k", id="1", have=have, snapshot=snapshot[0], page=snapshot[1])
        page = order_lines.page_for(connection, "shop-1", request, now_s=1, now_us=10**9)
        found.append(page)
        if isinstance(page, Snapshot):
            snapshot = (0, 0) if page.last else (page.revision, page.page + 1)
            have = page.revision if page.last else have
        else:
            have = page.to_revision
        if not snapshot[0] and have == feed_table.heads(connection)["shop-1"]:
            return found


@pytest.mark.parametrize("have", [0, 1], ids=["a snapshot", "deltas"])
def test_pages_of_the_largest_rows_and_of_many_removals_are_cut_by_bytes(tmp_path, have):
    store = open_hub_store(tmp_path)
    moved = [line(number) for number in range(2_000)]
    with store.transaction() as connection:
        order_lines.put_lines(connection, moved, 1)
        order_lines.put_lines(connection, [line(n, home_site="shop-2") for n in range(2_000)], 1)
        order_lines.put_lines(connection, [line(n, **LARGEST) for n in range(10_000, 10_100)], 1)
        pages = read_all(connection, have=have)
    sizes = [len(cbor2.dumps(page_payload(page))) for page in pages]
    assert max(sizes) < PAGE_BYTES + 1000
    assert sum(len(page.rows) for page in pages) == 100
    if have:
        assert sum(len(page.removed) for page in pages) == 2_000
        assert len({cti for page in pages for cti in page.removed}) == 2_000


def test_rows_that_grew_since_a_snapshot_was_begun_are_cut_anew(tmp_path):
    store = open_hub_store(tmp_path)
    with store.transaction() as connection:
        order_lines.put_lines(connection, [line(n) for n in range(900)], 1)
        request = OrdersRequest(dev="k", id="1", have=0)
        begun = order_lines.page_for(connection, "shop-1", request, now_s=1, now_us=10**9)
        assert (len(begun.rows), begun.last) == (500, False)
        order_lines.put_lines(connection, [line(n, **LARGEST) for n in range(900)], 10**9)
        resumed = request.model_copy(update={"snapshot": begun.revision, "page": 1, "pages": 8})
        pages = list(order_lines.pages_for(connection, "shop-1", resumed, now_s=1, now_us=10**9))
        whole = read_all(connection)
    assert (pages[0].page, pages[0].revision > begun.revision) == (0, True)
    sizes = [len(cbor2.dumps(page_payload(page))) for page in (*pages, *whole)]
    assert max(sizes) < PAGE_BYTES + 1000 < MOST_MESSAGE_BYTES
    assert sum(len(page.rows) for page in whole) == 900
