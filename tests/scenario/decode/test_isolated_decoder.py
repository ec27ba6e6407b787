"""A decoder that hangs or crashes in native code loses that frame alone."""

import time

import numpy as np
import pytest
from hardware_sim.vision import image_sensor
from hardware_sim.vision.lighting_scenes import glare_on_a_label

from edge.decode.isolation.decoder import IsolatedDecoder
from edge.decode.isolation.worker import DecodeReply
from edge.decode.qr.quad import box
from edge.ports import Symbol
from tests.support.drawn_codes import TOKEN, drawn
from tests.support.touchy_decoder import CRASH, HANG, TouchyDecoder, poisoned, reads_again


@pytest.fixture
def decoder():
    made = IsolatedDecoder(make_decoder=TouchyDecoder, hang_ms=700)
    yield made
    made.close()


@pytest.mark.parametrize("effect", [CRASH, HANG])
def test_a_frame_that_crashes_or_hangs_is_lost_and_counted_and_the_next_is_read(decoder, effect):
    grey, _ = drawn("HELLO")
    assert reads_again(decoder, grey) == ["HELLO"]
    assert decoder.decode(poisoned(grey, effect)) == ()
    assert (decoder.counts["lost"].tries, decoder.counts["lost"].faults) == (1, 1)
    before = decoder.counts["zxing"].reads
    assert reads_again(decoder, grey) == ["HELLO"]
    assert decoder.counts["zxing"].reads > before >= 1, "the lost process's counts are included"


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


class ScriptedProcess:
    """A decoder process that replies as it was made to."""

    def __init__(self, *replies):
        self.replies = list(replies)

    def submit(self, grey):
        return True

    def poll(self, wait_ms=None):
        return self.replies.pop(0)


def test_a_late_result_of_the_second_core_is_returned_unless_a_code_was_read_since():
    grey, read = drawn("A")[0], Symbol(content=b"A", quad=((0, 0),) * 4, decoder="fake")
    nothing, code = DecodeReply(), DecodeReply((read,))
    decoder = IsolatedDecoder()
    decoder._first = ScriptedProcess(nothing, nothing, code, nothing)
    decoder._second = ScriptedProcess(None, code, None, code)
    assert [len(decoder.decode(grey)) for _ in range(4)] == [0, 1, 1, 0]


class SlowProcess:
    """A decoder process that is busy for three frames with each that it accepts."""

    def __init__(self):
        self.accepted, self.busy = [], 0

    def submit(self, grey):
        self.busy = max(0, self.busy - 1)
        if self.busy:
            return False
        self.accepted.append(int(grey[0, 0]))
        self.busy = 3
        return True

    def poll(self, wait_ms=None):
        return None


def test_a_second_core_that_is_free_again_gets_the_newest_frame():
    decoder = IsolatedDecoder()
    decoder._first, decoder._second = ScriptedProcess(*[DecodeReply()] * 9), SlowProcess()
    for number in range(9):
        decoder.decode(np.full((4, 4), number, np.uint8))
    assert decoder._second.accepted == [0, 3, 6]


def test_a_process_accepts_no_second_frame_while_it_has_one(decoder):
    grey, _ = drawn("HELLO")
    assert reads_again(decoder, grey) == ["HELLO"]
    process = decoder._first
    assert process.submit(poisoned(grey, HANG))
    assert [process.submit(grey) for _ in range(3)] == [False] * 3
    assert process.poll(0.0) is None
    assert process.poll() is None, "the frame is lost"
    assert process.lost.tries == 1


def test_the_quad_of_a_code_that_was_seen_and_not_read_crosses_the_processes(decoder):
    assert reads_again(decoder, drawn("HELLO")[0]) == ["HELLO"]
    assert decoder.unread is None
    light = glare_on_a_label(TOKEN, rng=np.random.default_rng(2))
    burnt = image_sensor.expose(light, image_sensor.automatic(light), np.random.default_rng(3))
    until = time.monotonic() + 20
    while decoder.unread is None and time.monotonic() < until:
        assert decoder.decode(burnt) == ()
        time.sleep(0.01)
    left, top, right, bottom = box(decoder.unread)
    assert left < 320 < right
    assert top < 240 < bottom
