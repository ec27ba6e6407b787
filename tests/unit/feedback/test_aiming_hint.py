"""Advice is given once a code has stood unread for a moment."""

from edge.feedback.aiming_hint import AimingHint
from edge.ports import Hint


def test_a_code_that_is_only_passing_gets_no_advice():
    aim = AimingHint()
    assert aim.advise(Hint.BLURRED, 0.0) is None
    assert aim.advise(None, 0.5) is None
    assert aim.advise(Hint.BLURRED, 0.7) is None


def test_a_code_that_stands_unread_gets_the_advice_of_the_moment():
    aim = AimingHint()
    aim.advise(Hint.BLURRED, 0.0)
    assert aim.advise(Hint.TOO_FAR, 0.6) is Hint.TOO_FAR
    assert aim.advise(None, 0.7) is None
