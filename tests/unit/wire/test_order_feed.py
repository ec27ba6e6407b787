"""The order feed's pages: read whole or not at all, and resumable wherever they are cut."""

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.order_row import EMPTY_DIGEST, Row, row_digest, row_of, xor
from edge.token import cbor
from edge.token.claims import Kind
from sync.hub.orders import order_lines
from sync.hub.store import feed_table
from sync.hub.store.opening import open_hub_store
from sync.wire import codec, order_feed
from sync.wire.messages import MessageFault, MessageRefusal, OrdersRequest
from sync.wire.order_feed import Delta, Snapshot, page_payload, read_page
from sync.wire.order_feed_cbor import Decoded

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
entitlements = st.builds(
    Entitlement,
    cti=st.binary(min_size=16, max_size=16),
    order_id=texts,
    kind=st.sampled_from(list(Kind)),
    home_site=st.just("shop-1"),
    home_device=st.none() | texts,
    status=st.sampled_from(list(OrderStatus)),
    quantity=st.integers(1, 2**31 - 1),
    amount_minor=st.none() | st.integers(0, 2**53 - 1),
    currency=st.none() | st.just("EUR"),
    not_before_s=st.integers(0, 2**33 - 1),
    expires_at_s=st.integers(0, 2**33 - 1),
    review=st.booleans(),
    compartments=st.lists(texts, max_size=3).map(tuple),
    subject=st.none() | texts,
    campaign=st.none() | texts,
    rules=st.none() | texts,
    revision=st.just(9),
)
rows = entitlements.map(row_of)
snapshots = st.builds(
    Snapshot, site=st.just("shop-1"), issued_at_s=st.integers(0, 2**33 - 1), revision=st.just(9),
    page=st.integers(0, 2000), last=st.booleans(), rows=st.lists(rows, max_size=3).map(tuple),
)  # fmt: skip
deltas = st.builds(
    Delta, site=st.just("shop-1"), issued_at_s=st.integers(0, 2**33 - 1), from_revision=st.integers(0, 9),
    to_revision=st.just(9), head=st.integers(9, 2**53 - 1), rows=st.lists(rows, max_size=3).map(tuple),
    removed=st.lists(st.binary(min_size=16, max_size=16), max_size=2).map(tuple),
    digest=st.binary(min_size=32, max_size=32),
)  # fmt: skip


@given(snapshots | deltas)
def test_a_page_is_read_as_it_was_written(page):
    payload = cbor.decode(cbor.encode(page_payload(page)), cbor.DOCUMENT_LIMITS)
    assert read_page(payload, site="shop-1") == page


@given(snapshots | deltas, st.data())
def test_a_page_with_any_field_exchanged_is_named_or_read_and_never_raises(page, data):
    payload = page_payload(page)
    label = data.draw(st.sampled_from(sorted(payload)))
    payload[label] = data.draw(
        st.none() | st.booleans() | st.integers() | st.binary() | texts | st.just([[1]])
    )
    assert isinstance(read_page(payload, site="shop-1"), Snapshot | Delta | MessageRefusal)


@pytest.mark.parametrize("payload", [None, 1, [], {}, {1: 3}, {99: 1}, {"kind": 1}])
def test_what_is_no_page_is_named(payload):
    assert read_page(payload, site="shop-1").fault is MessageFault.WRONG_SHAPE


@pytest.mark.parametrize("kind", [1.0, 2.0, True, 0, 3])
def test_a_page_of_a_kind_that_is_no_integer_of_ours_is_named(kind):
    """Signed as it is, and read the quick way, which knows floats."""
    page = Snapshot(site="shop-1", issued_at_s=1, revision=1, page=0, last=True, rows=())
    delta = {8: 0, 9: 1, 10: 1, 11: [], 12: bytes(32)}
    for more in ({}, delta):
        payload = {**page_payload(page), **more, 1: kind}
        for item in (payload, Decoded(cbor2.loads(cbor2.dumps(payload)))):
            assert read_page(item, site="shop-1").fault is MessageFault.WRONG_SHAPE


def test_a_page_for_another_site_is_refused():
    page = Snapshot(site="shop-2", issued_at_s=1, revision=1, page=0, last=True, rows=())
    assert read_page(page_payload(page), site="shop-1").fault is MessageFault.WRONG_SITE


def line(number: int, **changes) -> order_lines.OrderLine:
    cti = f"{number:032x}"
    return order_lines.OrderLine(
        **{"cti": cti, "order_id": "A", "kind": "pickup", "home_site": "shop-1", **changes}
    )


class Cache:
    """The rules of the device's cache of orders, as small as they can be written."""

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
@given(steps=st.lists(changes | st.just("page"), max_size=25), cut=st.integers(1, 4))
def test_a_feed_cut_and_changed_anywhere_ends_in_what_the_hub_has(memory_folder, steps, cut):
    """Orders change between pages; the device in the end has exactly the hub's rows, and their digest."""
    store = open_hub_store(memory_folder())
    cache, now_us = Cache(), 1000
    before, order_feed.PAGE_ROWS = order_feed.PAGE_ROWS, cut
    try:
        for step in [*steps, *["page"] * 60]:
            now_us += 1
            with store.transaction() as connection:
                if step == "page":
                    cache.apply(
                        order_lines.page_for(
                            connection, "shop-1", cache.request(), now_s=1, now_us=now_us
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
        order_feed.PAGE_ROWS = before
        store.close()
    assert cache.rows.keys() == {cti for cti, _ in held}
    total = EMPTY_DIGEST
    for row in cache.rows.values():
        total = xor(total, row_digest(row))
    assert total == digest


def test_a_hub_restored_from_an_older_backup_begins_again_above_what_the_device_has(tmp_path):
    store = open_hub_store(tmp_path)
    with store.transaction() as connection:
        order_lines.put_lines(connection, [line(1)], 100)
        page = order_lines.page_for(
            connection, "shop-1", OrdersRequest(dev="k", id="1", have=5000), now_s=1, now_us=9000
        )
    assert isinstance(page, Snapshot)
    assert page.revision == 9000
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


@pytest.mark.parametrize(("text", "word"), [
    ("{", "Invalid JSON"), ('{"cti": "xy"}', "cti"), ('{"cti": "' + "0" * 32 + '"}', "order_id"),
    ('{"cti": "' + "0" * 32 + '", "order_id": "A", "kind": "gift", "home_site": "s"}', "kind"),
])  # fmt: skip
def test_a_wrong_order_line_says_what_is_wrong_with_it(text, word):
    found = order_lines.parse_line(text)
    assert isinstance(found, order_lines.LineRefusal)
    assert word in str(found)


def test_page_rows_fit_a_message():
    """A page of the longest rows stays below what the shipped broker takes."""
    longest = Entitlement(
        cti=bytes(16), order_id="x" * 100, kind=Kind.PICKUP, home_site="shop-1", home_device="x" * 40,
        subject="x" * 100, campaign="x" * 100, rules="x" * 1000, compartments=("x" * 8,) * 4,
    )  # fmt: skip
    rows = (row_of(longest),) * order_feed.PAGE_ROWS
    page = Snapshot(site="shop-1", issued_at_s=1, revision=1, page=0, last=True, rows=rows)
    assert len(cbor.encode(page_payload(page))) < 1_000_000
    assert codec.MAX_MESSAGE_BYTES < 1_048_576
