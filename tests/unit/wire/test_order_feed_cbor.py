"""The quick reader of a page of orders accepts nothing that the strict one refuses."""

import cbor2
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from edge.domain.order_row import row_numbers
from edge.token import cbor
from edge.token.rejection import InputRefused
from sync.wire.messages import MessageRefusal
from sync.wire.order_feed import Delta, Snapshot, page_payload, read_page
from sync.wire.order_feed_cbor import decode_page
from sync.wire.order_feed_columns import rows_size
from tests.support.order_feed_pages import deltas, rows, snapshots

ROW = [
    bytes(range(16)),
    "A-1",
    1,
    None,
    "ready",
    7,
    1250,
    "EUR",
    0,
    99,
    False,
    ["A1"],
    None,
    None,
    None,
]
PAGE = page_payload(
    Snapshot(
        site="shop-1",
        issued_at_s=1,
        incarnation=bytes(16),
        revision=9,
        page=0,
        last=True,
        rows=(ROW, [*ROW]),
    )
)
DATA = cbor.encode(PAGE)
LIMITS = cbor.DOCUMENT_LIMITS


def read(data):
    """Return what the quick reader and the strict one make of ``data``."""
    return [_read(lambda: decode_page(data, LIMITS)), _read(lambda: cbor.decode(data, LIMITS))]


def _read(decode):
    try:
        return read_page(decode(), site="shop-1")
    except InputRefused as refused:
        return str(refused)


@given(st.lists(rows, max_size=5))
def test_the_size_of_rows_is_that_of_their_shortest_cbor(some):
    assert rows_size(some) == sum(len(cbor2.dumps(row)) for row in some)


@given(snapshots | deltas)
def test_a_page_is_read_the_quick_way_with_the_digests_of_its_rows(page):
    decoded = decode_page(cbor.encode(page_payload(page)), LIMITS)
    assert read_page(decoded, site="shop-1") == page
    assert decoded.digests == row_numbers(page.rows)


def test_a_page_in_which_a_text_looks_like_the_start_of_a_row_is_read():
    row = [*ROW[:12], "\u03cfP", None, None]  # in UTF-8 the second byte is that of an array of 15
    page = Snapshot(
        site="shop-1",
        issued_at_s=1,
        incarnation=bytes(16),
        revision=9,
        page=0,
        last=True,
        rows=(row, ROW),
    )
    decoded = decode_page(cbor.encode(page_payload(page)), LIMITS)
    assert decoded.digests == {}  # the cache computes them from the rows
    assert read_page(decoded.item, site="shop-1") == page


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        pytest.param(
            b"\x07\x19\x04\xe2", b"\x18\x07\x19\x04\xe2", id="an integer in two bytes that fits one"
        ),
        pytest.param(
            b"\x19\x04\xe2", b"\x1a\x00\x00\x04\xe2", id="an integer in four bytes that fits two"
        ),
        pytest.param(b"\x63A-1", b"\x78\x03A-1", id="a text whose length is wider than necessary"),
        pytest.param(b"\x8f\x50", b"\x98\x0f\x50", id="a row whose length is wider than necessary"),
        pytest.param(b"\x04\x82", b"\x04\x98\x02", id="rows whose number is wider than necessary"),
        pytest.param(b"\x81\x62A1", b"\x9f\x62A1\xff", id="an array without a length"),
        pytest.param(b"\x63A-1", b"\x7f\x63A-1\xff", id="a text without a length"),
        pytest.param(b"\x19\x04\xe2", b"\xc2\x42\x04\xe2", id="a number as a tag"),
        pytest.param(b"\x19\x04\xe2", b"\xf9\x64\xe2", id="a float"),
        pytest.param(b"\x19\x04\xe2", b"\xd9\xd9\xf7\x19\x04\xe2", id="a tag of no meaning"),
        pytest.param(b"\xa8", b"\xb8\x08", id="a map whose length is wider than necessary"),
        pytest.param(b"\x01\x01", b"\x18\x01\x01", id="a label that is wider than necessary"),
        pytest.param(
            b"\xa8\x01\x01\x02\x66shop-1", b"\xa8\x02\x66shop-1\x01\x01", id="labels out of order"
        ),
        pytest.param(b"\xa8\x01\x01", b"\xa8\x01\x01\x01\x01", id="a label twice"),
        pytest.param(b"\xf6\xf6\xf6", b"\xf7\xf6\xf6", id="undefined"),
        pytest.param(b"\xf4\x81", b"\xf8\x14\x81", id="a boolean in two bytes"),
    ],
)
def test_a_page_has_one_encoding(was, becomes):
    assert was in DATA
    quick, strict = read(DATA.replace(was, becomes))
    assert isinstance(strict, str)  # refused
    assert quick == strict or isinstance(quick, MessageRefusal)


def test_an_array_without_a_length_that_is_no_longer_for_it_is_refused():
    row = [*ROW[:11], ["A"] * 24, *ROW[12:]]
    data = cbor.encode({**PAGE, 4: [row]})
    array = b"\x98\x18" + b"\x61A" * 24
    assert array in data
    quick, strict = read(data.replace(array, b"\x9f" + b"\x61A" * 24 + b"\xff"))
    assert isinstance(strict, str)
    assert quick == strict


def test_a_text_that_refers_to_another_is_refused_even_where_wide_heads_make_up_for_its_length():
    row = [*ROW[:12], "x" * 15, "x" * 15, None]
    encoded = cbor2.dumps(row).replace(
        b"\x07\x19\x04\xe2", b"\x1b" + bytes(7) + b"\x07\x1a\x00\x00\x04\xe2"
    )
    text = b"\x6f" + b"x" * 15
    referring = encoded.replace(text + text, text + b"\xd8\x19\x04")
    data = cbor.encode({**PAGE, 4: [row]}).replace(cbor2.dumps(row), b"\xd9\x01\x00" + referring)
    assert len(data) == len(cbor.encode(cbor2.loads(data)))
    quick, strict = read(data)
    assert isinstance(strict, str)
    assert quick == strict


NO_PAGES = [DATA + b"\x00", DATA[:-1], b"", b"\x01", b"\xa0", cbor2.dumps({4: 1}), b"\xa1\x04\xf4"]


@pytest.mark.parametrize("data", NO_PAGES, ids=range(len(NO_PAGES)))
def test_data_that_is_not_one_page_is_refused_as_by_the_strict_reader(data):
    quick, strict = read(data)
    assert quick == strict
    assert not isinstance(quick, Snapshot | Delta)


@given(st.integers(0, len(DATA) - 1), st.integers(0, 3), st.binary(max_size=4))
@example(0, 0, b"\xd9\xd9\xf7")
def test_a_page_that_was_changed_is_read_only_if_the_strict_reader_reads_it(at, cut, put):
    data = DATA[:at] + put + DATA[at + cut :]
    assume(data != DATA)
    quick, strict = read(data)
    if isinstance(strict, str | MessageRefusal):
        assert not isinstance(quick, Snapshot | Delta)
    else:
        assert quick == strict
