"""A decoder that hangs, crashes in native code or raises costs that frame alone."""

import os
import time

import numpy as np
import pytest
from hardware_sim.vision import image_sensor
from hardware_sim.vision.lighting_scenes import glare_on_a_label

from edge.decode.isolation.decoder import IsolatedDecoder
from edge.decode.isolation.worker import DecodeReply
from edge.decode.live import LiveDecoder
from edge.decode.qr.quad import box
from edge.ports import Symbol
from tests.support.drawn_codes import TOKEN, drawn

CRASH, HANG = 1, 2


class Touchy(LiveDecoder):
    """A live decoder that a pixel can bring down."""

    def decode(self, grey):
        if grey[0, 0] == CRASH:
            os.abort()
        if grey[0, 0] == HANG:
            time.sleep(60)
        return super().decode(grey)


@pytest.fixture
def decoder():
    made = IsolatedDecoder(front=Touchy, hang_ms=700)
    yield made
    made.close()


def reads_again(decoder, grey, but=(), within_s=20.0):
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        texts = [symbol.text for symbol in decoder.decode(grey)]
        if texts and texts != list(but):
            return texts
        time.sleep(0.01)
    return []


def poisoned(grey, by):
    bad = grey.copy()
    bad[0, 0] = by
    return bad


@pytest.mark.parametrize("by", [CRASH, HANG])
def test_a_frame_that_crashes_or_hangs_is_lost_counted_and_recovered_from(decoder, by):
    grey, _ = drawn("HELLO")
    assert reads_again(decoder, grey) == ["HELLO"]
    assert decoder.decode(poisoned(grey, by)) == ()
    assert (decoder.counts["lost"].tries, decoder.counts["lost"].faults) == (1, 1)
    before = decoder.counts["zxing"].reads
    assert reads_again(decoder, grey) == ["HELLO"]
    assert decoder.counts["zxing"].reads > before >= 1, "what the lost process counted is kept"


def test_a_larger_frame_gets_larger_memory(decoder):
    assert reads_again(decoder, drawn("SMALL", frame=(200, 200), at=(20, 20))[0]) == ["SMALL"]
    assert reads_again(decoder, drawn("LARGE", frame=(900, 900))[0]) == ["LARGE"]


def test_a_second_core_reads_what_the_first_rungs_do_not():
    decoder = IsolatedDecoder(cores=2)
    try:
        assert reads_again(decoder, drawn("HELLO")[0]) == ["HELLO"]
        assert reads_again(decoder, 255 - drawn("DARK MODE")[0], but=["HELLO"]) == ["DARK MODE"]
    finally:
        decoder.close()
        decoder.close()
    assert decoder.decode(np.zeros((9, 9), np.uint8)) == ()
    decoder.close()


class Told:
    """A wall that answers what it was told to."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def give(self, grey):
        return True

    def take(self, wait_ms=None):
        return self.answers.pop(0)


def test_what_the_second_core_reads_late_is_told_unless_something_was_read_since():
    grey, read = drawn("A")[0], Symbol(content=b"A", quad=((0, 0),) * 4, decoder="fake")
    decoder = IsolatedDecoder()
    decoder._front = Told(DecodeReply(), DecodeReply(), DecodeReply((read,)), DecodeReply())
    decoder._beside = Told(None, DecodeReply((read,)), None, DecodeReply((read,)))
    assert [len(decoder.decode(grey)) for _ in range(4)] == [0, 1, 1, 0]


class Slow:
    """A second core that is busy for three frames with each it takes."""

    def __init__(self):
        self.given, self.busy = [], 0

    def give(self, grey):
        self.busy = max(0, self.busy - 1)
        if self.busy:
            return False
        self.given.append(int(grey[0, 0]))
        self.busy = 3
        return True

    def take(self, wait_ms=None):
        return None


def test_a_second_core_that_is_free_again_gets_the_newest_frame_and_none_has_waited():
    decoder = IsolatedDecoder()
    decoder._front, decoder._beside = Told(*[DecodeReply()] * 9), Slow()
    for number in range(9):
        decoder.decode(np.full((4, 4), number, np.uint8))
    assert decoder._beside.given == [0, 3, 6]


def test_a_wall_takes_no_second_frame_while_one_is_behind_it(decoder):
    grey, _ = drawn("HELLO")
    assert reads_again(decoder, grey) == ["HELLO"]
    wall = decoder._front
    assert wall.give(poisoned(grey, HANG))
    assert [wall.give(grey) for _ in range(3)] == [False] * 3
    assert wall.take(0.0) is None
    assert wall.take() is None, "lost, and with it nothing that waited"
    assert wall.lost.tries == 1


def test_where_a_code_was_seen_and_not_read_comes_over_the_wall(decoder):
    assert reads_again(decoder, drawn("HELLO")[0]) == ["HELLO"]
    assert decoder.unread is None
    light = glare_on_a_label(TOKEN, rng=np.random.default_rng(2))
    burnt, until = (
        image_sensor.expose(light, image_sensor.automatic(light), np.random.default_rng(3)),
        time.monotonic() + 20,
    )
    while decoder.unread is None and time.monotonic() < until:
        assert decoder.decode(burnt) == ()
        time.sleep(0.01)
    left, top, right, bottom = box(decoder.unread)
    assert left < 320 < right
    assert top < 240 < bottom
