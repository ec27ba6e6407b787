"""A hint is shown once a code has been seen unread for a moment."""

from edge.feedback.aiming_hint import AimingHint
from edge.ports import Hint


def test_a_code_that_only_passes_gives_no_hint():
    aim = AimingHint()
    assert aim.update(Hint.BLURRED, 0.0) is None
    assert aim.update(None, 0.5) is None
    assert aim.update(Hint.BLURRED, 0.7) is None


def test_a_code_that_stays_unread_gives_the_newest_hint():
    aim = AimingHint()
    aim.update(Hint.BLURRED, 0.0)
    assert aim.update(Hint.TOO_FAR, 0.6) is Hint.TOO_FAR
    assert aim.update(None, 0.7) is None
