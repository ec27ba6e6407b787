import contextlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.token import cbor
from edge.token.rejection import InputRefused, Rejection

KEYS = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=6) | st.binary(max_size=6)
LEAVES = st.booleans() | KEYS
ITEMS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


def reason(encoded: str, limits=cbor.TOKEN_LIMITS) -> Rejection:
    with pytest.raises(InputRefused) as refused:
        cbor.decode(bytes.fromhex(encoded), limits)
    return refused.value.reason


@given(ITEMS)
def test_what_is_written_reads_back(item):
    assert cbor.decode(cbor.encode(item), cbor.DOCUMENT_LIMITS) == item


@given(ITEMS)
def test_cbor2_reads_what_we_write(item):
    assert cbor2.loads(cbor.encode(item)) == item


@given(st.binary(max_size=60))
def test_what_reads_has_one_encoding_and_nothing_else_is_raised(data):
    try:
        item = cbor.decode(data, cbor.DOCUMENT_LIMITS)
    except InputRefused:
        return
    assert cbor.encode(item) == data


@given(ITEMS, st.data())
def test_every_mutant_of_a_good_encoding_is_refused_or_canonical(item, data):
    encoded = bytearray(cbor.encode(item))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(InputRefused):
        assert cbor.encode(cbor.decode(bytes(encoded), cbor.DOCUMENT_LIMITS)) == encoded


def test_keys_sort_by_their_bytes_and_not_by_length_first():
    item = {-1: 0, 100: 0, "z": 0, 10: 0}
    assert (
        cbor.encode(item).hex() == "a40a00186400200061" + b"z".hex() + "00"
    )  # RFC 8949 section 4.2.1's example order
    assert cbor2.dumps(item, canonical=True) != cbor.encode(item)  # RFC 7049's order, length first


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        pytest.param("", "cbor_truncated", id="nothing"),
        pytest.param("19ff", "cbor_truncated", id="half a number"),
        pytest.param("4261", "cbor_truncated", id="half a byte string"),
        pytest.param("8201", "cbor_truncated", id="half an array"),
        pytest.param("a101", "cbor_truncated", id="a key without its value"),
        pytest.param("5bffffffffffffffff", "cbor_truncated", id="a string of 2**64-1 bytes"),
        pytest.param("0000", "cbor_trailing", id="a second item"),
        pytest.param("a000", "cbor_trailing", id="a byte after the map"),
        pytest.param("1817", "cbor_not_shortest", id="23 in two bytes"),
        pytest.param("190018", "cbor_not_shortest", id="24 in three bytes"),
        pytest.param("1a0000ffff", "cbor_not_shortest", id="65535 in five bytes"),
        pytest.param("1b00000000ffffffff", "cbor_not_shortest", id="2**32-1 in nine bytes"),
        pytest.param("580161", "cbor_not_shortest", id="a length in two bytes"),
        pytest.param("3800", "cbor_not_shortest", id="-1 in two bytes"),
        pytest.param("b80100 00", "cbor_not_shortest", id="a map's size in two bytes"),
        pytest.param("5f4161ff", "cbor_indefinite", id="bytes in chunks"),
        pytest.param("7f6161ff", "cbor_indefinite", id="text in chunks"),
        pytest.param("9f01ff", "cbor_indefinite", id="an array without a size"),
        pytest.param("bf0102ff", "cbor_indefinite", id="a map without a size"),
        pytest.param("ff", "cbor_indefinite", id="a lone break"),
        pytest.param("a202000100", "cbor_key_order_or_duplicate", id="keys out of order"),
        pytest.param("a201000100", "cbor_key_order_or_duplicate", id="a key twice"),
        pytest.param("a220000a00", "cbor_key_order_or_duplicate", id="-1 before 10"),
        pytest.param("a2616200616100", "cbor_key_order_or_duplicate", id="b before a"),
        pytest.param("f93c00", "cbor_type", id="half float 1.0"),
        pytest.param("fa7fc00000", "cbor_type", id="NaN"),
        pytest.param("f97c00", "cbor_type", id="infinity"),
        pytest.param("fb3ff0000000000000", "cbor_type", id="double 1.0"),
        pytest.param("c11a00000000", "cbor_type", id="a tagged time"),
        pytest.param("c24101", "cbor_type", id="a bignum"),
        pytest.param("f6", "cbor_type", id="null"),
        pytest.param("f7", "cbor_type", id="undefined"),
        pytest.param("f0", "cbor_type", id="an unassigned simple value"),
        pytest.param("f8ff", "cbor_type", id="a simple value in two bytes"),
        pytest.param("f814", "cbor_type", id="false in two bytes"),
        pytest.param("1c", "cbor_type", id="a reserved length of numbers"),
        pytest.param("5e", "cbor_type", id="a reserved length of strings"),
        pytest.param("a1f500", "cbor_type", id="True as a key: the same key as 1 in Python"),
        pytest.param("a18000", "cbor_type", id="an array as a key"),
        pytest.param("a1a000", "cbor_type", id="a map as a key"),
        pytest.param("a1f93c0000", "cbor_type", id="a float as a key"),
        pytest.param("81818180", "cbor_depth", id="four levels"),
        pytest.param("81" * 200 + "00", "cbor_depth", id="two hundred levels"),
        pytest.param("61ff", "cbor_utf8", id="not UTF-8"),
        pytest.param("63eda080", "cbor_utf8", id="a surrogate"),
        pytest.param("62c080", "cbor_utf8", id="an overlong NUL"),
        pytest.param("7829" + "61" * 41, "too_long", id="a text of 41 bytes"),
        pytest.param("91" + "00" * 17, "too_long", id="17 entries"),
        pytest.param("9bffffffffffffffff", "too_long", id="2**64-1 entries"),
    ],
)
def test_every_second_spelling_is_refused_by_name(encoded, expected):
    assert reason(encoded) == expected


def test_the_limits_are_inclusive():
    assert cbor.decode(bytes.fromhex("818180"), cbor.TOKEN_LIMITS) == [[[]]]
    assert cbor.decode(bytes.fromhex("90" + "00" * 16), cbor.TOKEN_LIMITS) == [0] * 16
    assert cbor.decode(bytes.fromhex("7828" + "61" * 40), cbor.TOKEN_LIMITS) == "a" * 40


def test_header_maps_of_the_core_may_be_in_any_order_but_hold_no_key_twice():
    lenient = cbor.CborLimits(depth=1, entries=9, text=9, any_order=True)
    assert cbor.decode(bytes.fromhex("a202000100"), lenient) == {2: 0, 1: 0}
    assert reason("a3020001000200", lenient) == "cbor_key_order_or_duplicate"


@pytest.mark.parametrize(
    "item",
    [1.0, {1.5: 0}, {True: 0}, {(): 0}, 2**64, {1}, pytest.param(object(), id="an object")],
    ids=repr,
)
def test_what_could_not_be_read_is_not_written(item):
    with pytest.raises(TypeError):
        cbor.encode(item)


# What cbor2 lets through even when told to be strict; the reason for a reader of our own.
@pytest.mark.parametrize("encoded", ["1817", "a202000100", "f93c00", "c11a00000000"])
def test_cbor2_would_have_let_it_through(encoded):
    data = bytes.fromhex(encoded)
    cbor2.loads(data)  # no error
    with pytest.raises(InputRefused):
        cbor.decode(data, cbor.TOKEN_LIMITS)
