"""Exposure for a code that is seen and not read: the closed loop of decoder and camera."""

import numpy as np
import pytest
from hardware_sim.vision.camera import CameraScene, SimCamera
from hardware_sim.vision.lighting_scenes import glare_on_a_label, phone_in_the_dark

from edge.decode.exposure.controller import ExposureController
from edge.decode.live import LiveDecoder
from tests.support.drawn_codes import TOKEN

FRAME_S = 1 / 30


def first_frame_read(light, *, bracket, frames=60):
    """Return the number of the first frame that was read, None for none."""
    scene = CameraScene(width_px=640, height_px=480)
    controller, decoder = ExposureController(), LiveDecoder(budget_ms=1000)
    scene.show_light(light)
    camera = SimCamera(scene, frame_rate_hz=100_000)
    for number in range(frames):
        frame = camera.read()
        symbols = decoder.decode(frame.grey)
        if symbols:
            assert [symbol.text for symbol in symbols] == [TOKEN]
            return number
        if bracket:
            camera.expose(
                controller.update(
                    frame,
                    read=False,
                    unread=decoder.unread,
                    hint=decoder.hint,
                    now_s=number * FRAME_S,
                )
            )
    return None


@pytest.mark.parametrize("scene", [phone_in_the_dark, glare_on_a_label])
def test_a_code_in_bad_light_is_read_only_with_the_bracket(scene):
    light = scene(TOKEN, rng=np.random.default_rng(2))
    assert first_frame_read(light, bracket=False) is None
    assert first_frame_read(light, bracket=True) is not None
