"""The live decoder: cheap without a code, several frames for a hard one."""

import numpy as np
import pytest
from hardware_sim.vision.render import draw, empty
from hardware_sim.vision.view_condition import ViewCondition

from edge.decode.diagnosis import hint_for
from edge.decode.live import LiveDecoder
from edge.decode.motion import MotionDetector
from edge.decode.qr.frame_fusion import FrameFusion
from edge.decode.qr.recovery import recover
from edge.decode.qr.zxing import LocatedSymbol
from edge.decode.rungs import LIVE, Rung
from edge.ports import Hint
from tests.support.drawn_codes import TOKEN, drawn, matrix, noisy


class Clock:
    def __init__(self):
        self.ms = 0.0

    def __call__(self):
        return self.ms


def frames(grey, count):
    """Return ``count`` frames of one view with a flicker, as of a person who moves."""
    return [
        np.clip(grey.astype(int) + 20 * (at % 2), 0, 255).astype(np.uint8) for at in range(count)
    ]


def test_every_frame_gets_the_first_rung_and_one_other_in_turn():
    decoder, blank = LiveDecoder(), np.full((120, 160), 128, np.uint8)
    for grey in frames(blank, 2 * (len(LIVE) - 1)):
        assert decoder.decode(grey) == ()
    tries = {rung.name: decoder.counts[rung.name].tries for rung in LIVE}
    assert tries.pop("zxing") == 2 * (len(LIVE) - 1)
    assert set(tries.values()) == {2}


def test_a_frame_over_its_budget_gets_no_second_rung():
    clock = Clock()

    def slow(scene):
        clock.ms += 70
        return ()

    decoder = LiveDecoder([Rung("slow", slow), *LIVE[1:]], budget_ms=60, clock_ms=clock)
    decoder.decode(np.zeros((50, 50), np.uint8))
    assert sum(count.tries for count in decoder.counts.values()) == 1


def test_the_region_of_a_code_that_was_read_is_tried_again():
    decoder = LiveDecoder()
    grey, _ = drawn(TOKEN, px=3)
    assert [s.text for s in decoder.decode(grey)] == [TOKEN]
    decoder.decode(np.full_like(grey, 200))
    assert decoder.counts["tracked"].tries == 1


def test_frames_that_are_each_too_noisy_are_read_together():
    grey, quad = drawn(TOKEN, px=2)
    place, fusion, together = LocatedSymbol(quad, 9), FrameFusion(), None
    for number in range(12):
        found = recover(noisy(grey, 150, seed=number), place)
        assert found.symbol is None, "this frame would be enough alone"
        if found.modules is not None:
            together = fusion.add(place, found.modules, 33.0 * number)
        if together:
            break
    assert together.text == TOKEN


def test_another_code_at_the_same_place_is_not_added_to_the_first():
    fusion, noise = FrameFusion(), np.random.default_rng(1)
    place = LocatedSymbol(drawn(TOKEN, px=3)[1], 9)
    for number in range(40):
        modules = noise.normal(0, 1, (53, 53)).astype(np.float32)
        assert fusion.add(place, modules, 10.0 * number) is None
    assert len(fusion._sums) <= 5


def test_two_codes_that_alternate_at_one_place_are_summed_separately():
    fusion, rng = FrameFusion(), np.random.default_rng(2)
    place = LocatedSymbol(drawn(TOKEN, px=2)[1], 9)
    views = [np.where(matrix(text)[0], 0.4, -0.4) for text in (TOKEN, TOKEN[::-1])]
    texts = set()
    for number in range(24):
        soft = views[number // 6 % 2] + rng.normal(0, 0.5, (53, 53))
        symbol = fusion.add(place, soft.astype(np.float32), 33.0 * number)
        texts |= {symbol.text} if symbol else set()
    assert texts == {TOKEN, TOKEN[::-1]}


def test_while_nothing_moves_one_frame_in_five_is_decoded_and_a_change_wakes_at_once():
    clock = Clock()
    decoder, blank = LiveDecoder(clock_ms=clock), np.full((120, 160), 128, np.uint8)
    for _ in range(300):
        clock.ms += 33
        decoder.decode(blank)
    looked = decoder.counts["zxing"].tries
    assert looked < 200
    grey, _ = drawn("HELLO", px=4, frame=(120, 160), at=(16, 30))
    assert [s.text for s in decoder.decode(grey)] == ["HELLO"]
    decoder.decode(blank)
    assert decoder.counts["zxing"].tries == looked + 2


def test_a_slow_change_of_daylight_is_not_motion_and_a_hand_is():
    motion, grey = MotionDetector(wake_ms=1000), np.full((90, 160), 100, np.uint8)
    still = [motion.is_still(grey + int(at // 20), 33.0 * at) for at in range(200)]
    assert still[60:] == [True] * 140
    hand = grey.copy()
    hand[40:60, 70:90] = 160
    assert motion.is_still(hand, 6700.0) is False


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        pytest.param(ViewCondition(px_per_module=1.2), Hint.TOO_FAR, id="too far"),
        pytest.param(ViewCondition(brightness=-100, contrast=0.2), Hint.TOO_DARK, id="too dark"),
        pytest.param(
            ViewCondition(px_per_module=6, glare=1.0, glare_size=0.3), Hint.GLARE, id="glare"
        ),
        pytest.param(ViewCondition(px_per_module=5, defocus_px=5), Hint.BLURRED, id="blurred"),
        pytest.param(ViewCondition(px_per_module=5), None, id="nothing is wrong"),
    ],
)
def test_a_hint_names_what_a_person_can_change(condition, hint):
    shown = draw([(TOKEN, condition)], rng=np.random.default_rng(4))
    assert hint_for(shown.grey, LocatedSymbol(shown.quads[0], 9)) is hint


def test_a_code_that_leaves_the_picture_is_cut_off():
    grey, quad = drawn(TOKEN, px=4)
    moved = tuple((x - 200, y) for x, y in quad)
    assert hint_for(grey, LocatedSymbol(moved, 9)) is Hint.CUT_OFF


def test_the_hint_for_a_code_half_in_view_is_cut_off():
    decoder = LiveDecoder()
    shown = draw(
        [(TOKEN, ViewCondition(cut_off=0.25, px_per_module=6))], rng=np.random.default_rng(5)
    )
    for grey in frames(shown.grey, 17):
        assert decoder.decode(grey) == ()
    assert decoder.hint is Hint.CUT_OFF


def test_an_empty_shop_gives_no_hint():
    decoder = LiveDecoder()
    for seed in range(17):
        decoder.decode(empty(ViewCondition(), rng=np.random.default_rng(seed)))
    assert decoder.hint is None
