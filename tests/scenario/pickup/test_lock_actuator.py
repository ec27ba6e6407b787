"""Pulses: each outcome is explicit and given once, and a queued pulse delays no caller."""

import threading
import time

import pytest
from hardware_sim.parts.locker import SimLocker

from edge.pickup.lock_actuator import ImmediateActuator, PulseOutcome, QueuedActuator


@pytest.fixture(params=[ImmediateActuator, QueuedActuator], ids=lambda kind: kind.__name__)
def actuator(request):
    locker = SimLocker(("A1", "A2", "A3"), pulse_s=0.05)
    actuator = request.param(locker)
    yield actuator, locker
    locker.close()
    getattr(actuator, "close", lambda: None)()


def outcome(actuator, key, within_s=2.0):
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        came = actuator.outcome(key)
        if came is not None:
            return came
        time.sleep(0.002)
    return None


def test_a_lock_is_pulsed_once_and_its_outcome_is_given_once(actuator):
    actuator, locker = actuator
    actuator.pulse(7, "A1")
    assert outcome(actuator, 7) == PulseOutcome()
    assert actuator.outcome(7) is None
    assert locker.pulses == ["A1"]


def test_a_lock_that_fails_is_an_outcome_and_no_exception(actuator):
    actuator, locker = actuator
    actuator.pulse(1, "B9")
    assert "B9" in outcome(actuator, 1).fault
    locker.pulse = lambda _: 1 / 0
    actuator.pulse(2, "A1")
    assert "ZeroDivisionError" in outcome(actuator, 2).fault


def test_several_locks_are_pulsed_in_order_each_with_its_own_outcome(actuator):
    actuator, locker = actuator
    for key, name in enumerate(("A2", "B9", "A1")):
        actuator.pulse(key, name)
    assert [outcome(actuator, key) == PulseOutcome() for key in range(3)] == [True, False, True]
    assert locker.pulses == ["A2", "A1"]


def test_a_queued_pulse_delays_no_caller():
    held = threading.Event()
    locker = SimLocker(("A1",))
    locker.pulse = lambda _: held.wait()
    actuator = QueuedActuator(locker)
    actuator.pulse(1, "A1")  # returns, though the pulse does not
    assert actuator.outcome(1) is None
    held.set()
    assert outcome(actuator, 1) == PulseOutcome()
    actuator.close()


def test_a_pulse_not_begun_when_the_device_stops_is_not_begun_later():
    locker = SimLocker(("A1", "A2"), pulse_s=5.0)
    actuator = QueuedActuator(locker)
    actuator.pulse(1, "A1")
    actuator.pulse(2, "A2")
    while not locker.pulses:
        time.sleep(0.002)
    threading.Timer(0.3, locker.close).start()
    actuator.close()
    actuator.close()
    assert locker.pulses == ["A1"]
    assert "not pulsed" in actuator.outcome(2).fault
    actuator.pulse(3, "A2")
    assert "closed" in actuator.outcome(3).fault
