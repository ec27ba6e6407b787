"""Exposure control: when it steps, keeps an exposure, and gives it back."""

from itertools import pairwise

import numpy as np
import pytest

from edge.decode.exposure.controller import ExposureController
from edge.ports import Exposure, Frame, Hint

NOW = Exposure(4000, 1.0)
PLACE = ((10.0, 10.0), (90.0, 10.0), (90.0, 90.0), (10.0, 90.0))
FRAME_S = 1 / 30


class Camera:
    """A scene whose white is ``white`` grey at NOW, and a camera that follows at once."""

    def __init__(self, white):
        self.white, self.controller = white, ExposureController()
        self.now_s, self.exposure = 0.0, NOW

    def run(self, frames=1, *, read=False, unread=None, hint=None):
        """Return the wanted exposure after each of ``frames`` frames."""
        wanted = []
        for _ in range(frames):
            level = min(255, self.white * self.exposure.light / NOW.light)
            grey = np.full((100, 100), level, np.uint8)
            frame = Frame(grey=grey, number=0, captured_ns=0, exposure=self.exposure)
            self.now_s += FRAME_S
            wanted.append(
                self.controller.update(frame, read=read, unread=unread, hint=hint, now_s=self.now_s)
            )
            self.exposure = wanted[-1] or NOW
        return wanted


def test_the_second_frame_with_an_unread_code_changes_the_exposure():
    dark = Camera(50)
    assert dark.run(1, unread=PLACE) == [None]
    assert dark.run(1, unread=PLACE)[0].light > NOW.light


@pytest.mark.parametrize("hint", [None, Hint.TOO_FAR, Hint.BLURRED, Hint.CUT_OFF])
def test_a_code_in_good_light_changes_no_exposure(hint):
    assert set(Camera(200).run(60, unread=PLACE, hint=hint)) == {None}


def test_when_the_code_is_gone_the_profiles_exposure_is_back():
    dark = Camera(50)
    dark.run(5, unread=PLACE)
    wanted = dark.run(30)
    assert wanted[0] is not None, "one frame without the code does not count"
    assert wanted[-1] is None


def test_an_exposure_that_read_a_code_is_kept_while_the_code_is_in_view():
    dark = Camera(50)
    used = dark.run(5, unread=PLACE)[-1]
    assert set(dark.run(90, read=True)) == {used}
    assert dark.run(30)[-1] is None


def test_a_code_that_stays_in_view_does_not_hold_the_exposure_for_ever():
    dark = Camera(50)
    dark.run(5, unread=PLACE)
    minute = dark.run(30 * 60, read=True)
    assert set(minute[: 30 * 25]) == {minute[0]}
    assert minute[-1] is None
    assert dark.run(30, unread=PLACE)[-1] is not None, "it is exposed for the next one"


def test_a_code_read_after_the_next_step_brings_back_the_exposure_that_read_it():
    dark = Camera(50)
    dark.run(5, unread=PLACE)
    dark.exposure = Exposure(1000, 1.0)  # of a frame from before the step
    assert dark.run(1, read=True) == [Exposure(1000, 1.0)]


def test_a_code_that_stays_unread_is_tried_for_a_while_and_then_after_growing_pauses():
    glaring = Camera(250)
    wanted = glaring.run(30 * 120, unread=PLACE, hint=Hint.GLARE)
    starts = [
        at for at in range(1, len(wanted)) if wanted[at] is not None and wanted[at - 1] is None
    ]
    gaps = np.diff(starts)
    assert sum(exposure is not None for exposure in wanted[:90]) < 75
    assert len(starts) <= 7
    assert all(later > 1.3 * earlier for earlier, later in pairwise(gaps))


def test_under_glare_more_light_and_less_light_are_tried():
    wanted = Camera(190).run(60, unread=PLACE, hint=Hint.GLARE)
    lights = {exposure.light for exposure in wanted if exposure}
    assert min(lights) < 0.5 * NOW.light < 2 * NOW.light < max(lights)


def test_a_camera_without_exposure_control_is_never_set():
    controller = ExposureController()
    frame = Frame(grey=np.zeros((100, 100), np.uint8), number=0, captured_ns=0)
    wanted = [
        controller.update(frame, read=False, unread=PLACE, hint=Hint.TOO_DARK, now_s=at / 30)
        for at in range(60)
    ]
    assert set(wanted) == {None}
