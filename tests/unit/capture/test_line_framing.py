"""Framing of an engine's bytes into codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.line_framing import LONGEST, LineFramer


@pytest.mark.parametrize(
    ("sent", "codes"),
    [
        pytest.param(b"ES1:ABC\r", [b"ES1:ABC"], id="CR"),
        pytest.param(b"ES1:ABC\n", [b"ES1:ABC"], id="LF"),
        pytest.param(b"ES1:ABC\r\nES1:DEF\r\n", [b"ES1:ABC", b"ES1:DEF"], id="CR LF, twice"),
        pytest.param(b"\r\n\r\n", [], id="empty lines"),
        pytest.param(b"\x00\x00\x02ES1:ABC\x03\r", [b"ES1:ABC"], id="control bytes around it"),
        pytest.param(b"A B\r", [b"A B"], id="a space within"),
        pytest.param(b" A\r", [b" A"], id="a space is content"),
        pytest.param("fünf\r".encode(), ["fünf".encode()], id="any text"),
        pytest.param(b"x" * LONGEST + b"\r", [b"x" * LONGEST], id="the longest"),
        pytest.param(
            b"x" * (LONGEST + 1) + b"\rES1:ABC\r",
            [b"ES1:ABC"],
            id="one byte too long, and the next",
        ),
        pytest.param(b"ES1:ABC", [], id="no end yet"),
    ],
)
def test_a_code_is_what_stands_between_line_ends(sent, codes):
    assert LineFramer().feed(sent, 0.0) == codes
    one_by_one = LineFramer()
    assert [code for byte in sent for code in one_by_one.feed(bytes([byte]), 0.0)] == codes


def test_a_partial_code_before_a_pause_is_not_part_of_the_next_code():
    lines = LineFramer()
    assert lines.feed(b"ES1:HALF", 10.0) == []
    assert lines.feed(b"", 10.4) == []
    assert lines.feed(b"ES1:WHOLE\r", 10.6) == [b"ES1:WHOLE"]


def test_a_code_that_comes_in_pieces_is_one():
    lines = LineFramer()
    assert lines.feed(b"ES1:", 10.0) == []
    assert lines.feed(b"ABC", 10.4) == []
    assert lines.feed(b"DEF\r", 10.8) == [b"ES1:ABCDEF"]


@given(st.lists(st.binary(max_size=600), max_size=12))
def test_codes_and_memory_are_bounded_for_any_input(pieces):
    lines = LineFramer()
    codes = [code for piece in pieces for code in lines.feed(piece, 0.0)]
    assert all(
        0 < len(code) <= LONGEST and b"\r" not in code and b"\n" not in code for code in codes
    )
    assert len(lines._partial) <= LONGEST
