"""The probation of new settings: healthy for its duration, or overdue after a limit."""

import pytest

from edge.settings.probation import Probation

BEGAN_S, DURATION_S = 100.0, 10.0


def after(*looks: tuple[float, bool]) -> Probation:
    """Return a probation after ``looks``: seconds since its begin, and the health then."""
    probation = Probation(candidate="a", duration_s=DURATION_S, began_s=BEGAN_S)
    for at_s, healthy in looks:
        probation = probation.observed(healthy=healthy, now_s=BEGAN_S + at_s)
    return probation


@pytest.mark.parametrize(
    ("looks", "at_s", "passed"),
    [
        pytest.param([(0, True)], 9.9, False, id="a moment before its duration"),
        pytest.param([(0, True)], 10.0, True, id="healthy for its duration"),
        pytest.param([(5, True)], 14.9, False, id="counted from the first healthy look"),
        pytest.param([(0, True), (5, False), (6, True)], 15.9, False, id="a break starts it anew"),
        pytest.param([(0, True), (5, False), (6, True)], 16.0, True, id="healthy after a break"),
        pytest.param([(0, True), (9, False)], 60.0, False, id="unhealthy at the last look"),
        pytest.param([], 60.0, False, id="never looked at"),
    ],
)
def test_a_probation_is_passed_after_its_duration_without_a_break(looks, at_s, passed):
    assert after(*looks).is_passed(BEGAN_S + at_s) is passed


@pytest.mark.parametrize(("at_s", "overdue"), [(45.0, False), (45.1, True)])
def test_a_probation_is_overdue_after_three_durations_and_fifteen_seconds(at_s, overdue):
    assert after((0, True), (1, False)).is_overdue(BEGAN_S + at_s) is overdue
