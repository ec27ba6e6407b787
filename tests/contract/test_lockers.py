"""One contract for locks and door contacts, with the same simulated doors behind all of them.

GPIO over mock pins, lock boards over a pseudo-terminal, and the simulator.
"""

import threading
import time
from types import SimpleNamespace

import pytest
from gpiozero.pins.mock import MockFactory
from hardware_sim.parts.doors import DoorFailure, Doors
from hardware_sim.parts.lock_board import SimLockBoards
from hardware_sim.parts.locker import SimLocker
from hardware_sim.parts.mock_pins import wired_factory

from edge.config import LockerSection
from edge.devices.gpio_door import GpioDoorSensor
from edge.devices.gpio_lock import GpioLock
from edge.devices.lock_board import LockBoards
from edge.ports import CountsOpenings, LockError

PULSE_MS = 60


def section(**changes):
    doors = {
        "A1": {"lock_pin": 17, "door_pin": 5},
        "A2": {"lock_pin": 18, "door_pin": 6, "door_open_high": False},
        "A3": {"lock_pin": 19, "door_pin": 12},
    }
    return LockerSection.model_validate({"compartments": doors, "pulse_ms": PULSE_MS, **changes})


def on_gpio(_=None, doors=None, **changes):
    doors, profile = doors or Doors({"A1", "A2", "A3"}), section(**changes)
    factory = wired_factory(profile, doors)
    lock, sensor = (
        GpioLock(profile, pin_factory=factory),
        GpioDoorSensor(profile, pin_factory=factory),
    )

    def energised():
        pins = {name: factory.pin(door.lock_pin) for name, door in profile.compartments.items()}
        return {
            n
            for n, pin in pins.items()
            if pin.function == "output" and pin.state == profile.active_high
        }

    return SimpleNamespace(lock=lock, sensor=sensor, doors=doors, energised=energised)


def active_low(_, doors=None):
    return on_gpio(doors=doors, active_high=False)


def on_boards(folder, doors=None):
    """Two boards on one line, with the same doors behind them."""
    numbers = {
        "A1": {"lock_number": 1},
        "A2": {"lock_number": 16},
        "A3": {"lock_number": 1, "board_address": 3},
    }
    board = {"port": str(folder / "line"), "address": 2}
    profile = LockerSection.model_validate(
        {"driver": "board", "board": board, "compartments": numbers, "pulse_ms": PULSE_MS}
    )
    boards = SimLockBoards(
        folder / "line", profile.board_places(), pulse_s=PULSE_MS / 1000, doors=doors
    )
    locker = LockBoards(profile)
    return SimpleNamespace(
        lock=locker,
        sensor=locker,
        doors=boards.doors,
        energised=lambda: set(boards.energised),
        end=boards.close,
    )


def simulated(_, doors=None):
    locker = SimLocker(("A1", "A2", "A3"), pulse_s=PULSE_MS / 1000, doors=doors)
    return SimpleNamespace(
        lock=locker, sensor=locker, doors=locker.doors, energised=lambda: set(locker.energised)
    )


@pytest.fixture(params=[on_gpio, active_low, on_boards, simulated], ids=lambda kind: kind.__name__)
def build(request, tmp_path):
    built = []

    def build(**options):
        built.append(request.param(tmp_path, **options))
        return built[-1]

    yield build
    for locker in built:
        locker.lock.close()
        locker.sensor.close()
        getattr(locker, "end", lambda: None)()


@pytest.fixture
def locker(build):
    return build()


def seen(locker, name, expected):
    """Return whether the sensor reads ``expected`` within the half second that a board may take."""
    until_s = time.monotonic() + 0.5
    while locker.sensor.is_open(name) is not expected and time.monotonic() < until_s:
        time.sleep(0.005)
    return locker.sensor.is_open(name) is expected


def counted(locker, name, expected, within_s=0.5):
    """Return whether the sensor counts ``expected`` openings in time, without reading the door."""
    until_s = time.monotonic() + within_s
    while locker.sensor.openings(name) != expected and time.monotonic() < until_s:
        time.sleep(0.005)
    return locker.sensor.openings(name) == expected


def seen_energised(locker, while_doing):
    """Run ``while_doing`` in a thread; return a list of sets of what was energised, as sampled."""
    worker = threading.Thread(target=while_doing)
    worker.start()
    samples = []
    while worker.is_alive():
        samples.append(frozenset(locker.energised()))
        time.sleep(0.001)
    return samples


def test_nothing_is_energised_and_every_door_is_closed_at_the_start(locker):
    assert locker.lock.compartments() == {"A1", "A2", "A3"}
    assert locker.energised() == set()
    assert locker.doors.openings == []
    assert [locker.sensor.is_open(name) for name in ("A1", "A2", "A3")] == [False] * 3


@pytest.mark.parametrize("name", ["A1", "A2"])
def test_a_pulse_opens_its_door_and_no_other(locker, name):
    locker.lock.pulse(name)
    assert seen(locker, name, True)
    assert {door for door in ("A1", "A2", "A3") if locker.sensor.is_open(door)} == {name}
    locker.doors.close_door(name)
    assert seen(locker, name, False)


def test_a_pulse_lasts_its_length_and_is_over_when_the_call_returns(locker):
    before = time.monotonic()
    samples = seen_energised(locker, lambda: locker.lock.pulse("A1"))
    assert time.monotonic() - before >= PULSE_MS / 1000
    assert frozenset({"A1"}) in samples
    assert locker.energised() == set()


def test_compartments_are_energised_one_at_a_time(locker):
    others = [threading.Thread(target=locker.lock.pulse, args=(name,)) for name in ("A1", "A2")]

    def all_at_once():
        for thread in others:
            thread.start()
        locker.lock.pulse("A3")
        for thread in others:
            thread.join()

    samples = seen_energised(locker, all_at_once)
    assert max(len(sample) for sample in samples) == 1
    assert sorted(locker.doors.openings) == ["A1", "A2", "A3"]


def test_an_unknown_compartment_is_refused_and_nothing_moves(locker):
    with pytest.raises(LockError, match="B9"):
        locker.lock.pulse("B9")
    assert locker.doors.openings == []
    assert locker.sensor.is_open("B9") is None


def test_closing_ends_a_pulse_and_no_pulse_starts_after_it(locker):
    pulse = threading.Thread(target=locker.lock.pulse, args=("A1",))
    pulse.start()
    locker.lock.close()
    locker.lock.close()
    pulse.join()
    assert locker.energised() == set()
    with pytest.raises(LockError, match="closed"):
        locker.lock.pulse("A2")
    assert "A2" not in locker.doors.openings


@pytest.mark.parametrize(
    ("failure", "contact"),
    [
        pytest.param(DoorFailure.STUCK_CLOSED, False, id="a jammed door"),
        pytest.param(DoorFailure.NO_OPEN, False, id="a dead coil"),
        pytest.param(DoorFailure.SENSOR_STUCK_OPEN, True, id="a contact stuck open"),
        pytest.param(DoorFailure.SENSOR_STUCK_CLOSED, False, id="a contact stuck closed"),
    ],
)
def test_a_broken_door_is_visible_in_its_contact_and_not_in_the_pulse(locker, failure, contact):
    locker.doors.fail("A1", failure)
    locker.lock.pulse("A1")
    assert seen(locker, "A1", contact)


def test_a_door_that_cannot_close_is_open_until_it_is_repaired(locker):
    locker.doors.fail("A1", DoorFailure.LEFT_OPEN)
    locker.lock.pulse("A1")
    locker.doors.close_door("A1")
    assert seen(locker, "A1", True)
    locker.doors.repair("A1")
    locker.doors.close_door("A1")
    assert seen(locker, "A1", False)


def test_a_door_that_opened_and_closed_without_a_read_between_is_counted(locker):
    assert isinstance(locker.sensor, CountsOpenings)
    for expected in (1, 2):
        locker.lock.pulse("A1")
        time.sleep(0.3)
        assert locker.sensor.openings("A1") == expected - 1, "it is still open"
        locker.doors.close_door("A1")
        assert counted(locker, "A1", expected)
    assert [locker.sensor.openings(name) for name in ("A2", "A3", "B9")] == [0, 0, 0]


def test_a_door_that_is_open_at_the_start_is_counted_when_it_closes(build):
    doors = Doors({"A1", "A2", "A3"})
    doors.energise("A1")
    locker = build(doors=doors)
    assert seen(locker, "A1", True)
    time.sleep(0.1)
    doors.close_door("A1")
    assert counted(locker, "A1", 1)


def test_a_door_that_never_opened_is_not_counted(locker):
    locker.doors.fail("A1", DoorFailure.STUCK_CLOSED)
    locker.lock.pulse("A1")
    locker.doors.close_door("A1")
    assert not counted(locker, "A1", 1, within_s=0.3)


# Properties of one implementation


def test_a_simulated_person_closes_the_door_after_a_while():
    locker = SimLocker(("A1",), doors=Doors(["A1"], person_closes_after_s=0.05))
    locker.pulse("A1")
    assert locker.is_open("A1") is True
    time.sleep(0.06)
    assert locker.is_open("A1") is False


def test_a_simulated_contact_that_cannot_be_read_has_no_state():
    locker = SimLocker(("A1",))
    locker.doors.fail("A1", DoorFailure.SENSOR_NONE)
    assert locker.is_open("A1") is None


def test_a_cut_wire_reads_as_an_open_door_never_as_a_closed_one():
    locker = on_gpio()
    locker.doors.fail("A1", DoorFailure.SENSOR_NONE)  # only the pull-up is left
    assert locker.sensor.is_open("A1") is True


def test_a_compartment_without_a_contact_has_no_state():
    sensor = GpioDoorSensor(
        LockerSection.model_validate({"compartments": {"A1": {"lock_pin": 17}}}),
        pin_factory=MockFactory(),
    )
    assert sensor.is_open("A1") is None


def test_a_contact_whose_pin_is_in_use_has_no_state_and_the_others_have_theirs():
    factory = MockFactory()
    section_b = LockerSection.model_validate(
        {"compartments": {"B1": {"lock_pin": 4, "door_pin": 5}}}
    )
    other = GpioDoorSensor(section_b, pin_factory=factory)
    sensor = GpioDoorSensor(section(), pin_factory=factory)
    assert sensor.is_open("A1") is None
    assert sensor.is_open("A2") is not None
    assert list(sensor.problems) == ["A1"]
    sensor.close()
    assert sensor.is_open("A2") is None, "its pin was released"
    other.close()


def test_a_door_that_opened_between_two_reads_is_counted_and_a_bounce_is_not():
    factory, clock = MockFactory(), [0.0]
    sensor = GpioDoorSensor(section(), pin_factory=factory, monotonic_s=lambda: clock[0])
    pin = factory.pin(5)  # A1: high means open
    pin.drive_low()
    for stood_open_s in (0.004, 0.3):
        clock[0] += 1
        pin.drive_high()
        clock[0] += stood_open_s
        pin.drive_low()
    assert sensor.openings("A1") == 1
    assert isinstance(sensor, CountsOpenings)
    sensor.close()
