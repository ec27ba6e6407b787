"""The camera exposes for a code that is seen and not read: the loop closed, decoder to camera and back."""

from itertools import pairwise

import numpy as np
import pytest
from hardware_sim.vision.camera import CameraScene, SimCamera
from hardware_sim.vision.lighting_scenes import glare_on_a_label, phone_in_the_dark

from edge.decode.exposure.controller import ExposureController
from edge.decode.live import LiveDecoder
from edge.ports import Exposure, Frame, Hint
from tests.support.drawn_codes import TOKEN

NOW = Exposure(4000, 1.0)
PLACE = ((10.0, 10.0), (90.0, 10.0), (90.0, 90.0), (10.0, 90.0))
FRAME_S = 1 / 30


def looked_at(light, *, bracket, frames=60):
    """Which frame was read, None for none; and what the camera was told."""
    scene, metering, decoder = (
        CameraScene(width_px=640, height_px=480),
        ExposureController(),
        LiveDecoder(budget_ms=1000),
    )
    scene.show_light(light)
    camera, told = SimCamera(scene, frame_rate_hz=1000), []
    for number in range(frames):
        frame = camera.read()
        symbols = decoder.decode(frame.grey)
        if symbols:
            assert [symbol.text for symbol in symbols] == [TOKEN]
            return number, told
        if bracket:
            asked = metering.after(
                frame, read=False, unread=decoder.unread, hint=decoder.hint, now_s=number * FRAME_S
            )
            told.append(asked)
            camera.expose(asked)
    return None, told


@pytest.mark.parametrize("scene", [phone_in_the_dark, glare_on_a_label])
def test_a_code_whose_light_is_wrong_is_read_only_thanks_to_the_bracket(scene):
    light = scene(TOKEN, rng=np.random.default_rng(2))
    assert looked_at(light, bracket=False)[0] is None
    assert looked_at(light, bracket=True)[0] is not None


class Camera:
    """A place before the lens whose white is ``white`` grey at NOW, and a camera that follows at once."""

    def __init__(self, white):
        self.white, self.metering, self.now_s, self.exposure = white, ExposureController(), 0.0, NOW

    def turn(self, frames=1, *, read=False, unread=None, hint=None):
        told = []
        for _ in range(frames):
            level = min(255, self.white * self.exposure.light / NOW.light)
            grey = np.full((100, 100), level, np.uint8)
            frame = Frame(grey=grey, number=0, captured_ns=0, exposure=self.exposure)
            self.now_s += FRAME_S
            told.append(
                self.metering.after(frame, read=read, unread=unread, hint=hint, now_s=self.now_s)
            )
            self.exposure = told[-1] or NOW
        return told


def test_one_frame_is_not_enough_and_the_second_is():
    dark = Camera(50)
    assert dark.turn(1, unread=PLACE) == [None]
    assert dark.turn(1, unread=PLACE)[0].light > NOW.light


@pytest.mark.parametrize("hint", [None, Hint.TOO_FAR, Hint.BLURRED, Hint.CUT_OFF])
def test_a_code_in_good_light_changes_no_exposure(hint):
    assert set(Camera(200).turn(60, unread=PLACE, hint=hint)) == {None}


def test_when_the_code_is_gone_the_camera_is_on_its_own_again():
    dark = Camera(50)
    dark.turn(5, unread=PLACE)
    told = dark.turn(30)
    assert told[0] is not None, "one frame without it is no reason"
    assert told[-1] is None


def test_what_a_code_was_read_with_is_kept_while_it_is_in_view():
    dark = Camera(50)
    used = dark.turn(5, unread=PLACE)[-1]
    assert set(dark.turn(90, read=True)) == {used}
    assert dark.turn(30)[-1] is None


def test_a_code_that_stays_on_the_wall_does_not_keep_the_camera_from_others():
    dark = Camera(50)
    dark.turn(5, unread=PLACE)
    minute = dark.turn(30 * 60, read=True)
    assert set(minute[: 30 * 25]) == {minute[0]}
    assert minute[-1] is None
    assert dark.turn(30, unread=PLACE)[-1] is not None, "it is exposed for the next one"


def test_a_code_read_late_brings_back_what_it_was_read_with():
    dark = Camera(50)
    dark.turn(5, unread=PLACE)
    dark.exposure = Exposure(1000, 1.0)  # a frame that was on its way
    assert dark.turn(1, read=True) == [Exposure(1000, 1.0)]


def test_a_code_that_stays_unread_is_tried_for_a_while_and_then_ever_more_seldom():
    glaring = Camera(250)
    told = glaring.turn(30 * 120, unread=PLACE, hint=Hint.GLARE)
    starts = [at for at in range(1, len(told)) if told[at] is not None and told[at - 1] is None]
    gaps = np.diff(starts)
    assert sum(asked is not None for asked in told[:90]) < 75
    assert len(starts) <= 7
    assert all(later > 1.3 * earlier for earlier, later in pairwise(gaps))


def test_glare_is_answered_with_more_and_with_less_light():
    lights = {asked.light for asked in Camera(190).turn(60, unread=PLACE, hint=Hint.GLARE) if asked}
    assert min(lights) < 0.5 * NOW.light < 2 * NOW.light < max(lights)


def test_a_camera_that_cannot_be_told_is_never_asked():
    metering = ExposureController()
    frame = Frame(grey=np.zeros((100, 100), np.uint8), number=0, captured_ns=0)
    told = [
        metering.after(frame, read=False, unread=PLACE, hint=Hint.TOO_DARK, now_s=at / 30)
        for at in range(60)
    ]
    assert set(told) == {None}
