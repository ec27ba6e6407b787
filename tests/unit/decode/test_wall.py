"""A decoder that hangs, crashes in native code or raises costs that frame alone."""

import os
import time

import numpy as np
import pytest

from edge.decode.contained import ContainedDecoder
from edge.decode.live import LiveDecoder
from edge.decode.wall import Answer
from edge.ports import Symbol
from tests.unit.decode.drawing import drawn

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
    made = ContainedDecoder(front=Touchy, hang_ms=700)
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
    decoder = ContainedDecoder(cores=2)
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
    decoder = ContainedDecoder()
    decoder._front = Told(Answer(), Answer(), Answer((read,)), Answer())
    decoder._beside = Told(None, Answer((read,)), None, Answer((read,)))
    assert [len(decoder.decode(grey)) for _ in range(4)] == [0, 1, 1, 0]
