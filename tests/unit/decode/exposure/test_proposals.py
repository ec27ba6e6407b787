"""Exposure proposals for the code, not for the room."""

import numpy as np
import pytest

from edge.decode.exposure.proposals import ExposureLimits, bracket, burnt_place, propose
from edge.decode.qr.quad import box
from edge.ports import Exposure

LIMITS = ExposureLimits()
NOW = Exposure(4000, 1.0)
PLACE = ((100, 100), (200, 100), (200, 200), (100, 200))


def scene(room, screen):
    grey = np.full((400, 400), room, np.uint8)
    grey[100:200, 100:200] = screen
    return grey


def test_a_phone_that_burns_out_in_a_dark_room_is_exposed_less():
    half_burnt = scene(10, 255)
    half_burnt[100:150, 100:200] = 40
    assert propose(half_burnt, NOW, LIMITS, PLACE).light == NOW.light / 2


def test_a_screen_that_is_wholly_burnt_out_is_exposed_much_less():
    assert propose(scene(10, 255), NOW, LIMITS, PLACE).light == NOW.light / 4


def test_a_screen_burnt_out_in_the_dark_is_located():
    left, top, right, bottom = box(burnt_place(scene(10, 255)))
    assert max(abs(left - 100), abs(top - 100), abs(right - 200), abs(bottom - 200)) <= 8


@pytest.mark.parametrize(
    "shown", [scene(120, 255), scene(10, 200), scene(10, 10), np.zeros((3, 3), np.uint8)]
)
def test_a_bright_room_or_a_screen_that_shows_something_is_not_burnt_out(shown):
    assert burnt_place(shown) is None


def test_without_a_code_the_middle_of_the_picture_is_metered():
    assert propose(scene(50, 50), NOW, LIMITS).light == 4 * NOW.light


def test_a_dark_code_is_exposed_longer_and_then_amplified():
    brighter = propose(scene(200, 40), NOW, LIMITS, PLACE)
    assert (brighter.time_us, brighter.gain) == (LIMITS.longest_us, 2.0)


@pytest.mark.parametrize("white", [165, 200, 240])
def test_a_nearly_right_exposure_is_not_changed(white):
    assert propose(scene(0, white), NOW, LIMITS, PLACE) is NOW


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_every_proposal_is_within_the_limits(level):
    for now in (Exposure(50, 1), Exposure(8000, 12), NOW):
        made = propose(scene(level, level), now, LIMITS, PLACE)
        assert LIMITS.shortest_us <= made.time_us <= LIMITS.longest_us
        assert 1 <= made.gain <= LIMITS.highest_gain


def test_a_bracket_goes_below_and_above_and_comes_back():
    lights = [bracket(NOW, LIMITS, turn).light for turn in range(4)]
    assert lights[1] < lights[0] < lights[2]
    assert lights[3] == lights[0]


def test_a_place_outside_the_picture_meters_the_picture():
    outside = tuple((x + 900, y) for x, y in PLACE)
    assert propose(scene(200, 200), NOW, LIMITS, outside) is NOW
