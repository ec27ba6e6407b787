"""A wall of codes gets a bounded number of verdicts, and each code gets its own."""

import pytest

from edge.decode.hold_off import HoldOff
from edge.ports import NO_QUAD, Symbol
from edge.scanner.verdict_budget import VerdictBudget

FRAME_S = 1 / 30


def judged_each_frame(sheets):
    """Return how many codes of each frame are judged."""
    hold_off, budget, judged = HoldOff(3.0), VerdictBudget(), []
    for number, sheet in enumerate(sheets):
        now_s = number * FRAME_S
        symbols = [Symbol(content=content, quad=NO_QUAD, decoder="sheet") for content in sheet]
        fresh = hold_off.fresh(symbols, now_s, most=budget.allowance(now_s))
        budget.spend(len(fresh))
        judged.append(len(fresh))
    return judged


@pytest.mark.parametrize("size", [1, 8, 64, 65, 300])
def test_a_still_sheet_of_codes_is_judged_once_each(size):
    sheet = [b"https://example.com/%d" % number for number in range(size)]
    judged = judged_each_frame([sheet] * 1200)
    assert sum(judged) == size


def test_codes_that_change_with_each_frame_are_judged_at_a_bounded_rate():
    sheets = [[b"%d of frame %d" % (code, frame) for code in range(64)] for frame in range(900)]
    judged = judged_each_frame(sheets)
    assert max(judged) == 8
    assert 16 * 29 <= sum(judged) <= 16 * 31  # in 30 s
    assert max(sum(judged[start : start + 30]) for start in range(len(judged))) <= 32


def test_two_customers_a_second_wait_for_nothing():
    sheets = [[b"%d" % (frame // 15)] for frame in range(900)]
    judged = judged_each_frame(sheets)
    assert judged[::15] == [1] * 60
