"""A handheld decodes only while and shortly after its trigger is held."""

import time

import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from edge.capture import triggered_frames
from edge.capture.triggered_frames import PresenceFrames, TriggeredFrames, Waker
from edge.config import Presence, Trigger
from edge.decode.live import LiveDecoder
from edge.devices.gpio_trigger import GpioTrigger
from edge.ports import Frame


class Newest:
    """A camera that always has a frame, ``age_s`` old."""

    def __init__(self):
        self.taken, self.age_s = 0, 0.0

    def next_frame(self, timeout_s):
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
    assert triggered.next_frame(0.05) is None
    assert frames.taken == 0
    assert time.monotonic() - before_s >= 0.05


def test_a_pressed_trigger_wakes_and_it_stays_awake_for_a_while():
    button, _, triggered, _ = wired(scan_s=0.2)
    button.drive_low()
    assert triggered.next_frame(0.05) is not None
    button.drive_high()
    assert triggered.next_frame(0.05) is not None
    time.sleep(0.25)
    assert triggered.next_frame(0.02) is None


def test_holding_it_keeps_it_awake():
    button, _, triggered, _ = wired(scan_s=0.2)
    button.drive_low()
    for _ in range(5):
        assert triggered.next_frame(0.05) is not None
        time.sleep(0.1)


def test_a_frame_from_before_the_trigger_is_not_decoded():
    button, frames, triggered, _ = wired()
    frames.age_s = 0.5
    button.drive_low()
    assert triggered.next_frame(0.05) is None
    frames.age_s = 0.0
    assert triggered.next_frame(0.05) is not None


def test_it_says_once_when_it_falls_asleep():
    slept = []
    button, _, triggered, _ = wired(scan_s=0.2, at_sleep=lambda: slept.append(1))
    triggered.next_frame(0.02)
    button.drive_low()
    triggered.next_frame(0.02)
    button.drive_high()
    assert slept == []
    time.sleep(0.25)
    triggered.next_frame(0.05)
    assert slept == [1]


def test_a_trigger_that_cannot_be_read_scans_always():
    _, _, triggered, trigger = wired()
    trigger.close()
    trigger.close()
    assert triggered.next_frame(0.05) is not None


@pytest.mark.parametrize(
    ("section", "on", "off"),
    [
        pytest.param(Trigger(pin=27), "drive_low", "drive_high", id="a trigger button"),
        pytest.param(Presence(pin=27), "drive_high", "drive_low", id="a presence sensor"),
        pytest.param(
            Presence(pin=27, active_high=False),
            "drive_low",
            "drive_high",
            id="a sensor that pulls to ground",
        ),
    ],
)
def test_whoever_is_there_wakes_at_once_and_keeps_awake(section, on, off, monkeypatch):
    factory, woken = MockFactory(), []
    waker = Waker(GpioTrigger(section, pin_factory=factory).is_pressed, lambda: woken.append(1))
    pin = factory.pin(27)
    for _ in range(5):
        assert not waker.is_on()
    assert woken == []
    getattr(pin, on)()
    assert waker.is_on()
    assert woken == [1], "at once"
    assert waker.is_on()
    assert woken == [1], "not with every look"
    monkeypatch.setattr(triggered_frames, "_WAKE_EVERY_S", 0.0)
    assert waker.is_on()
    assert woken == [1, 1], "again while it stays on"
    getattr(pin, off)()
    assert not waker.is_on()
    assert woken == [1, 1]


def test_pressing_the_trigger_makes_an_idle_decoder_look_at_the_next_frame():
    now_ms, blank = [0.0], np.full((120, 160), 128, np.uint8)
    decoder = LiveDecoder(clock_ms=lambda: now_ms[0])
    button, _, _, trigger = wired()
    waker = Waker(trigger.is_pressed, decoder.wake)

    def looks(frames):
        before = decoder.counts["zxing"].tries
        for _ in range(frames):
            now_ms[0] += 33
            waker.is_on()
            decoder.decode(blank)
        return decoder.counts["zxing"].tries - before

    looks(200)
    assert looks(50) == 10, "idle: one in five"
    button.drive_low()
    assert looks(1) == 1
    assert looks(50) == 50


def test_a_presence_sensor_hands_on_every_frame_and_wakes_between_them():
    woken, frames, there = [], Newest(), []
    watched = PresenceFrames(frames, Waker(lambda: bool(there), lambda: woken.append(1)))
    assert watched.next_frame(0.01) is not None
    assert woken == []
    there.append(1)
    assert watched.next_frame(0.01) is not None
    assert woken == [1]
