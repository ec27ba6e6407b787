"""Scan engines: one that types through evdev, one on a pseudo-terminal, and their worker."""

import os
import select
import time
from collections import deque

import pytest
from hardware_sim.parts.serial_port import SimPort

from edge.capture.hid_engine import HidEngine
from edge.capture.keymap import characters
from edge.capture.scan_engine import EngineWorker
from edge.capture.serial_engine import SerialEngine
from edge.config import HidEngineSection as HidSection
from edge.config import SerialEngineSection as SerialSection
from edge.ports import NO_QUAD, EngineError, Symbol

evdev = pytest.importorskip(
    "evdev", reason="evdev is not installed: it is needed for engines that type"
)
InputEvent, UInput, ecodes = evdev.InputEvent, evdev.UInput, evdev.ecodes

SHIFT, ENTER = 42, 28
CODE = "ES1:6BF%/R8 $*+-."


def keys(text, layout="us"):
    """Return the (code, value) key events of an engine that types ``text``, with Enter for LF."""
    places = {char: place for place, char in reversed(characters(layout).items())} | {
        "\n": (ENTER, "")
    }
    for char in text:
        code, level = places[char]
        shift = [SHIFT] if level == "shift" else []
        yield from ((key, 1) for key in (*shift, code))
        yield from ((key, 0) for key in (code, *shift))


class PipeKeyboard:
    """What HidEngine uses of evdev.InputDevice, with events that come through a pipe."""

    def __init__(self):
        self.fd, self._far = os.pipe()
        self.events = deque()
        self.grabbed, self.busy, self.held, self.gone = False, False, [], False
        self.keys = list(range(1, 128))

    def open(self, path):
        if self.gone:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self

    def capabilities(self):
        return {ecodes.EV_KEY: self.keys}

    def grab(self):
        if self.busy:
            raise OSError(16, "Device or resource busy")
        self.grabbed = True

    def ungrab(self):
        self.grabbed = False

    def active_keys(self):
        return self.held

    def send(self, events, kind=ecodes.EV_KEY):
        for code, value in events:
            self.events.append(InputEvent(0, 0, kind, code, value))
            os.write(self._far, b".")

    def read(self):
        if self.gone:
            raise OSError(19, "No such device")
        count = len(os.read(self.fd, 4096))
        return [self.events.popleft() for _ in range(count)]

    def unplug(self):
        self.gone = True
        os.write(self._far, b".")

    def close(self):
        pass


@pytest.fixture
def keyboard():
    return PipeKeyboard()


def hid(keyboard, layout="us"):
    return HidEngine(
        HidSection(device="/dev/input/by-id/engine", layout=layout), open_device=keyboard.open
    )


def test_typed_text_is_a_code_once_enter_comes(keyboard):
    engine = hid(keyboard)
    assert keyboard.grabbed
    keyboard.send(keys(CODE))
    assert engine.read(0.05) is None
    keyboard.send(keys("\n"))
    assert engine.read(1.0) == Symbol(content=CODE.encode(), quad=NO_QUAD, decoder="hid")
    assert engine.read(0.01) is None
    engine.close()
    engine.close()
    assert not keyboard.grabbed


def test_two_codes_sent_together_are_two(keyboard):
    engine = hid(keyboard, "de")
    keyboard.send(keys("ES1:Y+Z\nES1:B\n", "de"))
    assert [engine.read(1.0).content, engine.read(1.0).content] == [b"ES1:Y+Z", b"ES1:B"]


def test_a_key_held_down_types_once(keyboard):
    engine = hid(keyboard)
    keyboard.send([(30, 1), (30, 2), (30, 2), (30, 0), *keys("\n")])
    assert engine.read(1.0).content == b"a"


def test_events_that_the_kernel_dropped_lose_that_code_alone(keyboard):
    engine = hid(keyboard)
    keyboard.send(list(keys("ES1:A"))[:-1])
    keyboard.send([(SHIFT, 1)])
    keyboard.send([(ecodes.SYN_DROPPED, 0)], kind=ecodes.EV_SYN)
    keyboard.send(keys("es1\n"))
    assert engine.read(1.0).content == b"es1"  # neither the half code before it, nor its shift


def test_a_device_that_is_not_a_keyboard_is_refused(keyboard):
    keyboard.keys = [ecodes.BTN_LEFT]
    with pytest.raises(EngineError, match="not a keyboard"):
        hid(keyboard)


def test_a_device_that_another_program_uses_is_refused(keyboard):
    keyboard.busy = True
    with pytest.raises(EngineError, match=r"busy.*not used by another program"):
        hid(keyboard)


def test_an_unplugged_keyboard_is_named(keyboard):
    engine = hid(keyboard)
    keyboard.unplug()
    with pytest.raises(EngineError, match="unplugged"):
        engine.read(1.0)
    engine.close()


def uinput():
    try:
        return UInput({ecodes.EV_KEY: list(range(1, 128))}, name="scan engine")
    except Exception as error:
        pytest.skip(f"the kernel gives no virtual input device here: {str(error).splitlines()[0]}")


def test_a_virtual_device_of_the_kernel_is_read_and_grabbed_and_its_loss_is_reported():
    device = uinput()
    path = device.device.path
    engine = HidEngine(HidSection(device=path))
    watcher = type(device.device)(path)
    for code, value in keys(CODE + "\n"):
        device.write(ecodes.EV_KEY, code, value)
        device.syn()
    assert engine.read(2.0).content == CODE.encode()
    assert not select.select([watcher.fd], [], [], 0.1)[0], (
        "another program sees what the engine types"
    )
    device.close()
    with pytest.raises(EngineError, match="unplugged"):
        engine.read(2.0)


@pytest.fixture
def port(tmp_path):
    port = SimPort(tmp_path / "engine")
    yield port
    port.unplug()


def serial(port):
    return SerialEngine(SerialSection(port=str(port.path), baud=9600))


def read(engine, within_s=2.0):
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        symbol = engine.read(0.05)
        if symbol is not None:
            return symbol.content
    return None


def test_a_serial_engine_hands_over_each_line(port):
    engine = serial(port)
    port.send(b"\x00ES1:A\r\nES1:B\r")
    assert engine.read(1.0) == Symbol(content=b"ES1:A", quad=NO_QUAD, decoder="serial")
    assert read(engine) == b"ES1:B"
    assert engine.read(0.01) is None
    engine.close()
    engine.close()


def test_a_scan_sent_before_the_engine_was_opened_is_discarded(port):
    first = serial(port)
    first.close()
    port.send(b"ES1:OLD\r")
    engine = serial(port)
    port.send(b"ES1:NEW\r")
    assert read(engine) == b"ES1:NEW"
    engine.close()


def test_the_error_of_a_missing_serial_engine_says_what_to_do(tmp_path):
    with pytest.raises(EngineError, match="plugged in, and this user in group dialout"):
        SerialEngine(SerialSection(port=str(tmp_path / "none")))


# The worker thread


def becomes(expected, value, within_s=3.0):
    until_s = time.monotonic() + within_s
    while (found := value()) != expected and time.monotonic() < until_s:
        time.sleep(0.005)
    return found == expected


@pytest.fixture
def worker(port):
    worker = EngineWorker("serial", lambda: serial(port), fresh_s=0.3, first_pause_s=0.02)
    worker.start()
    yield worker
    worker.close()
    worker.close()


def listening(worker, port):
    """Return whether the engine is open: a probe comes through."""

    def probe():
        port.send(b"probe\r")
        time.sleep(0.02)
        return bool(worker.poll())

    return becomes(True, probe) and becomes(False, lambda: bool(worker.poll()))


def contents(worker):
    return [scan.symbol.content for scan in worker.poll()]


def test_an_unplugged_engine_is_reported_and_opened_again(worker, port):
    assert listening(worker, port)
    assert worker.problem == ""
    port.unplug()
    assert becomes(True, lambda: "plugged" in worker.problem)
    port.plug()
    assert becomes("", lambda: worker.problem)
    assert listening(worker, port)


def test_a_scan_that_was_not_polled_in_time_is_discarded(worker, port):
    assert listening(worker, port)
    discarded = worker.discarded
    port.send(b"ES1:OLD\r")
    time.sleep(0.5)
    port.send(b"ES1:NEW\r")
    time.sleep(0.1)
    assert contents(worker) == [b"ES1:NEW"]
    assert worker.discarded == discarded + 1


def test_of_more_scans_than_fit_the_newest_are_kept(worker, port):
    assert listening(worker, port)
    port.send(b"".join(f"ES1:{number}\r".encode() for number in range(12)))
    time.sleep(0.15)
    assert contents(worker) == [f"ES1:{number}".encode() for number in range(4, 12)]


def test_an_exception_of_an_engines_driver_is_a_problem_and_not_a_crash():
    def broken():
        raise RuntimeError("driver says no")

    worker = EngineWorker("hid", broken)
    worker.start()
    assert becomes(True, lambda: "driver says no" in worker.problem)
    worker.close()
