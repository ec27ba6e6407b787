"""A code that stays in view counts once."""

from hypothesis import given
from hypothesis import strategies as st

from edge.decode.hold_off import HoldOff
from edge.ports import Symbol

QUAD = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def code(content: bytes) -> Symbol:
    return Symbol(content=content, quad=QUAD, decoder="test")


A, B = code(b"A"), code(b"B")


def test_a_code_in_view_for_many_frames_is_one_scan():
    hold_off = HoldOff(3.0)
    assert hold_off.fresh([A], 0.0) == [A]
    assert all(hold_off.fresh([A], number / 10) == [] for number in range(1, 600))


def test_two_codes_in_a_frame_are_two_scans():
    assert HoldOff(3.0).fresh([A, B], 0.0) == [A, B]


def test_a_code_counts_again_when_frames_without_it_have_come_for_the_hold_off():
    hold_off = HoldOff(3.0)
    hold_off.fresh([A], 0.0)
    hold_off.fresh([], 1.0)
    assert hold_off.fresh([A], 3.9) == []  # gone for 2.9 s only
    hold_off.fresh([], 5.0)
    assert hold_off.fresh([A], 8.0) == [A]


def test_a_frame_in_which_the_code_was_not_read_does_not_end_its_showing():
    hold_off = HoldOff(3.0)
    hold_off.fresh([A], 0.0)
    for number in range(1, 100):
        assert hold_off.fresh([A] if number % 3 else [], number / 10) == []


def test_time_without_any_frame_is_not_time_out_of_view():
    hold_off = HoldOff(3.0)
    hold_off.fresh([A], 0.0)
    assert hold_off.fresh([A], 60.0) == []  # a slow disk, a stalled camera


@given(st.lists(st.tuples(st.floats(0, 2), st.sets(st.sampled_from([b"A", b"B", b"C"])))))
def test_between_two_scans_of_a_code_lie_frames_without_it_for_the_hold_off(frames):
    hold_off, now_s = HoldOff(1.0), 0.0
    absent_since: dict[bytes, float | None] = {}
    for gap_s, contents in frames:
        now_s += gap_s
        for symbol in hold_off.fresh([code(content) for content in sorted(contents)], now_s):
            if symbol.content in absent_since:
                assert absent_since[symbol.content] is not None
                assert now_s - absent_since[symbol.content] >= 1.0
        for content in contents:
            absent_since[content] = None
        for content in set(absent_since) - contents:
            absent_since[content] = (
                now_s if absent_since[content] is None else absent_since[content]
            )


def test_memory_is_bounded_by_forgetting_the_code_longest_out_of_view():
    hold_off = HoldOff(3.0, capacity=2)
    for number, content in enumerate([b"1", b"2", b"3"]):
        hold_off.fresh([code(content)], float(number))
    assert hold_off.fresh([code(b"3")], 3.0) == []
    assert hold_off.fresh([code(b"1")], 4.0) == [code(b"1")]


def test_a_still_sheet_of_more_codes_than_the_memory_holds_is_one_scan_of_each():
    sheet = [code(b"%d" % number) for number in range(200)]
    hold_off = HoldOff(3.0, capacity=64)
    assert hold_off.fresh(sheet, 0.0) == sheet
    assert all(hold_off.fresh(sheet, number / 10) == [] for number in range(1, 100))


def test_codes_beyond_the_bound_of_a_frame_start_in_the_frames_after_it():
    sheet = [code(b"%d" % number) for number in range(5)]
    hold_off = HoldOff(3.0)
    found = [hold_off.fresh(sheet, number / 10, most=2) for number in range(4)]
    assert found == [sheet[:2], sheet[2:4], sheet[4:], []]


def test_a_frame_that_holds_a_code_has_one_in_view_even_if_none_may_start():
    hold_off = HoldOff(3.0)
    assert hold_off.fresh([A], 0.0, most=0) == []
    assert hold_off.in_view
    assert hold_off.fresh([A], 0.1) == [A]
    hold_off.fresh([], 0.2)
    assert not hold_off.in_view


def test_codes_that_count_again_are_forgotten():
    hold_off = HoldOff(3.0)
    for number in range(1000):
        hold_off.fresh([code(b"%d" % number)], float(number))
    assert len(hold_off._gone_since_s) <= 5
