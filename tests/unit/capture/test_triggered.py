"""A handheld decodes only while and shortly after its trigger is held."""

import time

import numpy as np
from gpiozero.pins.mock import MockFactory

from edge.capture.triggered import TriggeredFrames
from edge.config import Trigger
from edge.devices.trigger import GpioTrigger
from edge.ports import Frame


class Newest:
    """A camera that always has a frame, ``age_s`` old."""

    def __init__(self):
        self.taken, self.age_s = 0, 0.0

    def take(self, timeout_s):
        self.taken += 1
        captured_ns = time.monotonic_ns() - int(self.age_s * 1e9)
        return Frame(grey=np.zeros((2, 2), np.uint8), number=self.taken, captured_ns=captured_ns)


def wired(scan_s=0.2, at_sleep=lambda: None):
    factory, frames = MockFactory(), Newest()
    trigger = GpioTrigger(Trigger(pin=27, scan_s=scan_s), pin_factory=factory)
    return (
        factory.pin(27),
        frames,
        TriggeredFrames(frames, trigger.is_pressed, scan_s=scan_s, at_sleep=at_sleep),
        trigger,
    )


def test_asleep_no_frame_is_even_taken():
    _, frames, triggered, _ = wired()
    before_s = time.monotonic()
    assert triggered.take(0.05) is None
    assert frames.taken == 0
    assert time.monotonic() - before_s >= 0.05


def test_a_pressed_trigger_wakes_and_it_stays_awake_for_a_while():
    button, _, triggered, _ = wired(scan_s=0.2)
    button.drive_low()
    assert triggered.take(0.05) is not None
    button.drive_high()
    assert triggered.take(0.05) is not None
    time.sleep(0.25)
    assert triggered.take(0.02) is None


def test_holding_it_keeps_it_awake():
    button, _, triggered, _ = wired(scan_s=0.2)
    button.drive_low()
    for _ in range(5):
        assert triggered.take(0.05) is not None
        time.sleep(0.1)


def test_a_frame_from_before_the_trigger_is_not_decoded():
    button, frames, triggered, _ = wired()
    frames.age_s = 0.5
    button.drive_low()
    assert triggered.take(0.05) is None
    frames.age_s = 0.0
    assert triggered.take(0.05) is not None


def test_it_says_once_when_it_falls_asleep():
    slept = []
    button, _, triggered, _ = wired(scan_s=0.2, at_sleep=lambda: slept.append(1))
    triggered.take(0.02)
    button.drive_low()
    triggered.take(0.02)
    button.drive_high()
    assert slept == []
    time.sleep(0.25)
    triggered.take(0.05)
    assert slept == [1]


def test_a_trigger_that_cannot_be_read_scans_always():
    _, _, triggered, trigger = wired()
    trigger.close()
    trigger.close()
    assert triggered.take(0.05) is not None
