"""A device with a trigger decodes only while the trigger is held, and shortly after."""

import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from edge.capture.triggered_frames import PresenceFrames, TriggeredFrames, Waker
from edge.config import Presence, Trigger
from edge.decode.live import LiveDecoder
from edge.devices.gpio_trigger import GpioTrigger
from edge.ports import Frame

MS = 1_000_000  # nanoseconds


class Clock:
    """A clock that moves only when it is set to, or when the code sleeps."""

    def __init__(self):
        self.now_ns = 10**12

    def advance(self, s):
        self.now_ns += round(s * 1e9)

    def monotonic_ns(self):
        return self.now_ns

    def monotonic_s(self):
        return self.now_ns / 1e9


class Camera:
    """A source that always has a frame, ``age_s`` old."""

    def __init__(self, clock):
        self.clock, self.reads, self.age_s = clock, 0, 0.0

    def next_frame(self, timeout_s):
        self.reads += 1
        captured_ns = self.clock.now_ns - int(self.age_s * 1e9)
        return Frame(grey=np.zeros((2, 2), np.uint8), number=self.reads, captured_ns=captured_ns)


class Handheld:
    """A camera, a trigger button on pin 27 and a clock."""

    def __init__(self, scan_s=0.2):
        factory = MockFactory()
        self.clock = Clock()
        self.camera = Camera(self.clock)
        self.trigger = GpioTrigger(Trigger(pin=27, scan_s=scan_s), pin_factory=factory)
        self.button = factory.pin(27)
        self.sleeps = []
        self.frames = TriggeredFrames(
            self.camera,
            self.trigger.is_pressed,
            scan_s=scan_s,
            on_sleep=lambda: self.sleeps.append(self.clock.now_ns),
            monotonic_ns=self.clock.monotonic_ns,
            sleep=self.clock.advance,
        )

    def frame_comes(self, timeout_s=0.05):
        return self.frames.next_frame(timeout_s) is not None


@pytest.fixture
def handheld():
    return Handheld()


def test_asleep_no_frame_is_read_from_the_camera(handheld):
    before_ns = handheld.clock.now_ns
    assert not handheld.frame_comes(timeout_s=0.05)
    assert handheld.camera.reads == 0
    assert handheld.clock.now_ns - before_ns == 50 * MS, "it waited as long as it was asked to"


def test_a_pressed_trigger_wakes_and_frames_come_for_a_while_after_it(handheld):
    handheld.button.drive_low()
    assert handheld.frame_comes()
    handheld.button.drive_high()
    handheld.clock.advance(0.19)
    assert handheld.frame_comes()
    handheld.clock.advance(0.02)
    assert not handheld.frame_comes()


def test_a_trigger_pressed_during_the_wait_wakes_at_once(handheld):
    def press_after_20_ms(s, advance=handheld.clock.advance):
        advance(s)
        if handheld.clock.now_ns - began_ns >= 20 * MS:
            handheld.button.drive_low()

    began_ns = handheld.clock.now_ns
    handheld.frames._sleep = press_after_20_ms
    assert handheld.frame_comes(timeout_s=5)
    assert handheld.clock.now_ns - began_ns == 20 * MS


def test_a_held_trigger_keeps_it_awake(handheld):
    handheld.button.drive_low()
    for _ in range(5):
        assert handheld.frame_comes()
        handheld.clock.advance(0.1)


def test_a_frame_from_before_the_trigger_is_not_decoded(handheld):
    handheld.camera.age_s = 0.5
    handheld.button.drive_low()
    assert not handheld.frame_comes()
    handheld.camera.age_s = 0.0
    assert handheld.frame_comes()


def test_it_reports_once_that_it_fell_asleep(handheld):
    handheld.frame_comes()
    handheld.button.drive_low()
    handheld.frame_comes()
    handheld.button.drive_high()
    assert handheld.sleeps == []
    handheld.clock.advance(0.25)
    handheld.frame_comes()
    handheld.frame_comes()
    assert len(handheld.sleeps) == 1


def test_a_trigger_that_cannot_be_read_lets_every_frame_pass(handheld):
    handheld.trigger.close()
    handheld.trigger.close()
    assert handheld.frame_comes()


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
def test_a_switch_that_goes_on_wakes_at_once_and_again_while_it_is_on(section, on, off):
    factory, clock, woken = MockFactory(), Clock(), []
    waker = Waker(
        GpioTrigger(section, pin_factory=factory).is_pressed,
        lambda: woken.append(1),
        monotonic_s=clock.monotonic_s,
    )
    pin = factory.pin(27)
    for _ in range(5):
        assert not waker.poll()
    assert woken == []
    getattr(pin, on)()
    assert waker.poll()
    assert woken == [1], "at once"
    clock.advance(0.99)
    assert waker.poll()
    assert woken == [1], "not at every frame"
    clock.advance(0.02)
    assert waker.poll()
    assert woken == [1, 1], "again while it is on"
    getattr(pin, off)()
    assert not waker.poll()
    assert woken == [1, 1]
    getattr(pin, on)()
    assert waker.poll()
    assert woken == [1, 1, 1], "at once, the next time it goes on"


def test_pressing_the_trigger_makes_an_idle_decoder_look_at_the_next_frame(handheld):
    now_ms, blank = [0.0], np.full((120, 160), 128, np.uint8)
    decoder = LiveDecoder(clock_ms=lambda: now_ms[0])
    waker = Waker(handheld.trigger.is_pressed, decoder.wake, monotonic_s=lambda: now_ms[0] / 1000)

    def looks(frames):
        before = decoder.counts["zxing"].tries
        for _ in range(frames):
            now_ms[0] += 33
            waker.poll()
            decoder.decode(blank)
        return decoder.counts["zxing"].tries - before

    looks(200)
    assert looks(50) == 10, "idle: one in five"
    handheld.button.drive_low()
    assert looks(1) == 1
    assert looks(50) == 50


def test_a_presence_sensor_lets_every_frame_pass_and_wakes_at_each():
    woken, sensor_is_on = [], []
    camera = Camera(Clock())
    frames = PresenceFrames(camera, Waker(lambda: bool(sensor_is_on), lambda: woken.append(1)))
    assert frames.next_frame(0.01) is not None
    assert woken == []
    sensor_is_on.append(1)
    assert frames.next_frame(0.01) is not None
    assert woken == [1]
