"""Location of codes by nested contours."""

import numpy as np
import pytest
from hardware_sim.vision.render import draw, empty
from hardware_sim.vision.view_condition import ViewCondition

from edge.decode.qr.finder_patterns import finders, locate
from edge.decode.scene import local_threshold
from tests.support.drawn_codes import TOKEN, drawn, noisy


def test_an_upright_code_is_located_to_the_pixel_with_its_version():
    grey, quad = drawn(TOKEN, px=4)
    (place,) = locate(local_threshold(grey, 0.2))[:1]
    assert place.version == 9
    assert np.abs(np.subtract(place.quad, quad)).max() < 2


@pytest.mark.parametrize("turn", [0, 45, 90, 180, 250])
def test_a_slanted_code_is_located_from_its_own_top_left(turn):
    condition = ViewCondition(tilt_deg=45, pan_deg=30, rotation_deg=turn, px_per_module=7)
    shown = draw([("HTTPS://EXAMPLE.COM/PICKUP", condition)], rng=np.random.default_rng(1))
    places = locate(local_threshold(shown.grey, 0.1))
    assert np.abs(np.subtract(places[0].quad, shown.quads[0])).max() < 8


def test_an_empty_picture_and_noise_hold_no_code():
    blank = empty(ViewCondition(clutter=1.0), rng=np.random.default_rng(3))
    for grey in (blank, noisy(np.full((480, 640), 128, np.uint8), 40), np.zeros((1, 1), np.uint8)):
        assert locate(local_threshold(grey, 0.05)) == []


def test_three_finder_patterns_are_found_in_a_code_and_none_without():
    grey, _ = drawn("HELLO")
    assert len(finders(local_threshold(grey, 0.2))) == 3
    assert finders(np.full((40, 40), 255, np.uint8)) == []


def test_two_codes_side_by_side_are_not_mixed():
    one, quad = drawn("HELLO", px=6, frame=(300, 700), at=(60, 60))
    two, other = drawn("WORLD", px=6, frame=(300, 700), at=(60, 400))
    places = locate(local_threshold(np.minimum(one, two), 0.2))
    assert {place.version for place in places if place.version == 1} == {1}
    for place in places:
        assert min(np.abs(np.subtract(place.quad, true)).max() for true in (quad, other)) < 60, (
            place
        )
