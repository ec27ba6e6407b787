"""The data that rules see: local days and the uses of a code, on the site's side of UTC."""

import pytest

from edge.config import Policy
from edge.domain.decision_facts import DecisionFacts
from edge.domain.decision_input import DecisionTerms, build_input
from edge.domain.redemption_state import LocalRedemption, RedemptionState
from edge.domain.rule_data import rule_data
from edge.values.instant import Instant
from tests.support.sample_shop import PLACE, code, order

HOUR_S = 3600
MIDNIGHT_S = 1_800_057_600  # 2027-01-16T00:00:00Z


def data(now_h: float, use_h: float, offset_h: float) -> dict:
    """Return what rules see at ``now_h`` of a code that was used at ``use_h``, both in UTC."""
    claims = code()
    use = LocalRedemption(
        ledger_id=1,
        use_no=1,
        units=1,
        amount_minor=None,
        at_s=MIDNIGHT_S + int(use_h * HOUR_S),
    )
    state = RedemptionState(entitlement=order(claims), uses=(use,))
    now = Instant(unix_s=MIDNIGHT_S + int(now_h * HOUR_S))
    inputs = build_input(DecisionFacts(claims, state, now), DecisionTerms(PLACE, Policy()))
    return rule_data(inputs, int(offset_h * HOUR_S))


@pytest.mark.parametrize(
    ("now_h", "use_h", "offset_h", "today"),
    [
        pytest.param(12, 1, 0, 1, id="the same day in UTC"),
        pytest.param(12, -1, 0, 0, id="the day before in UTC"),
        pytest.param(23.5, 12, 1, 0, id="east: it is tomorrow already"),
        pytest.param(23.5, 23.2, 1, 1, id="east: both are tomorrow"),
        pytest.param(12, -0.5, 1, 1, id="east: the use was today already"),
        pytest.param(0.5, -12, -1, 1, id="west: it is still yesterday"),
        pytest.param(12, 0.5, -1, 0, id="west: the use was still yesterday"),
    ],
)
def test_a_use_counts_for_the_local_day(now_h, use_h, offset_h, today):
    assert data(now_h, use_h, offset_h)["uses"]["today"] == today


@pytest.mark.parametrize(
    ("offset_h", "iso"),
    [
        (0, "2027-01-16T00:30:00+00:00"),
        (5.5, "2027-01-16T06:00:00+05:30"),
        (-1, "2027-01-15T23:30:00-01:00"),
    ],
)
def test_the_local_time_has_its_offset_with_its_sign(offset_h, iso):
    assert data(0.5, 0, offset_h)["now"]["iso"] == iso
