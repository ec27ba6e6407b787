"""The latest-frame slot: the newest frame first, and drops counted."""

import numpy as np

from edge.capture.latest_frame import LatestFrame
from edge.ports import Frame


def frame(number):
    return Frame(grey=np.zeros((1, 1), np.uint8), number=number, captured_ns=0)


def test_the_newest_frame_is_read_and_the_others_count_as_dropped():
    slot = LatestFrame()
    for number in range(5):
        slot.put(frame(number))
    assert slot.next_frame(0).number == 4
    assert slot.dropped == 4
    assert slot.next_frame(0) is None


def test_after_closing_the_last_frame_can_be_read_and_no_other_comes():
    slot = LatestFrame()
    slot.put(frame(1))
    slot.close()
    slot.put(frame(2))
    assert slot.next_frame(0).number == 1
    assert slot.next_frame(30) is None, "at once: nothing can come"


def test_a_writer_that_loses_nothing_finds_an_empty_slot_at_once():
    slot = LatestFrame()
    slot.put_when_empty(frame(1), cancelled=lambda: False)
    assert slot.next_frame(0).number == 1


def test_a_cancelled_writer_leaves_the_slot_as_it_is():
    slot = LatestFrame()
    slot.put(frame(1))
    slot.put_when_empty(frame(2), cancelled=lambda: True)
    assert slot.next_frame(0).number == 1
    assert slot.next_frame(0) is None
