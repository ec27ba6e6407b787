"""The latest-frame slot: newest first, losses counted, nobody waits longer than asked."""

import threading
import time

import numpy as np

from edge.capture.latest_frame import LatestFrame
from edge.ports import Frame

PICTURE = np.zeros((1, 1), np.uint8)


def frame(number):
    return Frame(grey=PICTURE, number=number, captured_ns=0)


def test_the_newest_frame_is_taken_and_the_others_are_counted_as_dropped():
    slot = LatestFrame()
    for number in range(5):
        slot.put(frame(number))
    assert slot.next_frame(0).number == 4
    assert slot.dropped == 4
    assert slot.next_frame(0) is None


def test_taking_waits_for_a_frame_but_not_longer_than_asked():
    slot = LatestFrame()
    threading.Timer(0.05, slot.put, (frame(1),)).start()
    assert slot.next_frame(5).number == 1
    before = time.monotonic()
    assert slot.next_frame(0.05) is None
    assert 0.05 <= time.monotonic() - before < 2


def test_closing_wakes_whoever_waits_and_what_is_left_is_still_handed_out():
    slot = LatestFrame()
    threading.Timer(0.05, slot.close).start()
    assert slot.next_frame(30) is None
    kept = LatestFrame()
    kept.put(frame(1))
    kept.close()
    kept.put(frame(2))
    assert kept.next_frame(0).number == 1
    assert kept.next_frame(30) is None


def test_every_frame_put_is_either_taken_or_dropped_whatever_the_threads_do():
    slot, taken = LatestFrame(), []

    def read_all():
        while (got := slot.next_frame(5)) is not None:
            taken.append(got.number)

    takers = [threading.Thread(target=read_all) for _ in range(2)]
    for taker in takers:
        taker.start()
    for number in range(2000):
        slot.put(frame(number))
    slot.close()
    for taker in takers:
        taker.join()
    assert len(taken) + slot.dropped == 2000
    assert max(taken) == 1999
    assert len(set(taken)) == len(taken)


def test_a_patient_writer_loses_nothing():
    slot, taken = LatestFrame(), []

    def write():
        for number in range(200):
            slot.put_when_taken(frame(number), given_up=lambda: False)
        slot.close()

    writer = threading.Thread(target=write)
    writer.start()
    while (got := slot.next_frame(5)) is not None:
        taken.append(got.number)
    writer.join()
    assert taken == list(range(200))
    assert slot.dropped == 0


def test_a_patient_writer_can_give_up():
    slot, given_up = LatestFrame(), threading.Event()
    slot.put(frame(0))
    writer = threading.Thread(
        target=slot.put_when_taken, args=(frame(1),), kwargs={"given_up": given_up.is_set}
    )
    writer.start()
    given_up.set()
    writer.join(5)
    assert not writer.is_alive()
    assert slot.next_frame(0).number == 0
