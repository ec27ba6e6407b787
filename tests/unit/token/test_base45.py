import base45 as kirei
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.token import base45
from tests.support.shared_data import shared_json

ALPHABET_TEXTS = st.lists(st.sampled_from(base45.ALPHABET), max_size=200).map(bytes)


def cases(name, kind):
    for case in shared_json("vectors", "base45", name)[kind]:
        yield (
            case["base45"].encode(),
            bytes.fromhex(case["hex"]) if "hex" in case else case.get("text", "").encode(),
        )


@pytest.mark.parametrize("name", ["rfc9285.json", "python-base45.json"])
def test_the_public_examples_decode_and_encode(name):
    for text, data in cases(name, "valid"):
        assert base45.decode(text) == data
        assert base45.encode(data) == text


@pytest.mark.parametrize("name", ["rfc9285.json", "python-base45.json"])
def test_the_public_counterexamples_are_refused(name):
    for text, _ in cases(name, "invalid"):
        with pytest.raises(base45.Base45Error):
            base45.decode(text)


@given(st.binary(max_size=300))
def test_every_byte_string_comes_back(data):
    assert base45.decode(base45.encode(data)) == data
    assert base45.encode(data) == kirei.b45encode(data)


@given(ALPHABET_TEXTS | st.binary(max_size=200))
def test_we_agree_with_the_base45_package_on_every_text(text):
    try:
        expected = kirei.b45decode(text)
    except ValueError:
        with pytest.raises(base45.Base45Error):
            base45.decode(text)
    else:
        assert base45.decode(text) == expected


@given(ALPHABET_TEXTS)
def test_no_two_texts_decode_to_the_same_bytes(text):
    try:
        data = base45.decode(text)
    except base45.Base45Error:
        return
    assert base45.encode(data) == text


@pytest.mark.parametrize("tail", [b"\n", b"\r", b"\x00", b"a", b"\xff", b"\n\n\n"])
def test_a_trailing_newline_or_stranger_is_refused(tail):
    with pytest.raises(base45.Base45Error):
        base45.decode(b"QED8WEX0" + tail)


@pytest.mark.parametrize("text", [b"::", b"V5", b":::", b"GGW"])
def test_a_group_above_its_range_is_refused(text):
    assert base45.decode(b"U5") == b"\xff"
    with pytest.raises(base45.Base45Error):
        base45.decode(text)


@pytest.mark.parametrize(
    "length",
    [
        pytest.param(342, id="the longest that the ready mask serves"),
        pytest.param(344, id="a triple more"),
        pytest.param(5_000, id="a document"),
    ],
)
def test_a_text_of_any_length_comes_back(length):
    data = b"\xff\xfe" * (length // 2)
    assert base45.decode(base45.encode(data)) == data
