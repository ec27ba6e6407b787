"""The latest-frame slot between threads: waits are bounded, and no frame is counted twice."""

import threading
import time

import numpy as np

from edge.capture.latest_frame import LatestFrame
from edge.ports import Frame

PICTURE = np.zeros((1, 1), np.uint8)


def frame(number):
    return Frame(grey=PICTURE, number=number, captured_ns=0)


def test_a_read_waits_for_a_frame_but_not_longer_than_its_timeout():
    slot = LatestFrame()
    threading.Timer(0.05, slot.put, (frame(1),)).start()
    assert slot.next_frame(5).number == 1
    before = time.monotonic()
    assert slot.next_frame(0.05) is None
    assert 0.05 <= time.monotonic() - before < 2


def test_closing_ends_a_read_that_waits():
    slot = LatestFrame()
    threading.Timer(0.05, slot.close).start()
    before = time.monotonic()
    assert slot.next_frame(30) is None
    assert time.monotonic() - before < 10


def test_every_frame_put_is_either_read_or_dropped_in_any_order_of_the_threads():
    slot, read = LatestFrame(), []

    def read_all():
        while (got := slot.next_frame(5)) is not None:
            read.append(got.number)

    readers = [threading.Thread(target=read_all) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(2000):
        slot.put(frame(number))
    slot.close()
    for reader in readers:
        reader.join()
    assert len(read) + slot.dropped == 2000
    assert max(read) == 1999
    assert len(set(read)) == len(read)


def test_a_writer_that_waits_for_an_empty_slot_loses_nothing():
    slot, read = LatestFrame(), []

    def write():
        for number in range(200):
            slot.put_when_empty(frame(number), cancelled=lambda: False)
        slot.close()

    writer = threading.Thread(target=write)
    writer.start()
    while (got := slot.next_frame(5)) is not None:
        read.append(got.number)
    writer.join()
    assert read == list(range(200))
    assert slot.dropped == 0


def test_a_writer_that_waits_can_be_cancelled():
    slot, cancelled = LatestFrame(), threading.Event()
    slot.put(frame(0))
    writer = threading.Thread(
        target=slot.put_when_empty, args=(frame(1),), kwargs={"cancelled": cancelled.is_set}
    )
    writer.start()
    cancelled.set()
    writer.join(5)
    assert not writer.is_alive()
    assert slot.next_frame(0).number == 0
