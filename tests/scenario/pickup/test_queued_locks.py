"""A pickup over queued pulses: the steps on disk are the same, and a tick waits for no pulse."""

import os
import threading
import time

import pytest

from edge.pickup.lock_actuator import QueuedActuator
from edge.pickup.pickups import DoorTimings, Pickups
from edge.ports import LockError
from edge.store import lock_intents
from edge.token.claims import Kind
from tests.support.sample_shop import at, code, deliver, open_at, order, redeemer


class SlowLock:
    """A lock whose pulses end when the test says so."""

    def __init__(self):
        self.begun, self.may_end, self.fails = [], threading.Event(), False
        self.open = False

    def compartments(self):
        return frozenset("A")

    def pulse(self, compartment):
        self.begun.append(compartment)
        self.may_end.wait(5)
        if self.fails:
            raise LockError("stays energised")

    def is_open(self, compartment):
        return self.open

    def close(self):
        self.may_end.set()


@pytest.fixture
def bay(tmp_path):
    lock, store = SlowLock(), open_at(tmp_path)
    actuator = QueuedActuator(lock)
    times = DoorTimings(open_s=10, close_s=90)
    pickups = Pickups(store, lock, lock, times=times, random_bytes=os.urandom, actuator=actuator)
    claims = code(kind=Kind.PICKUP)
    deliver(store, order(claims))
    yield lock, store, pickups, redeemer(store).redeem(claims, at(0)).intents
    lock.close()
    actuator.close()
    store.close()


def state(store):
    return lock_intents.unfinished(store)[0].state


def tick_until(pickups, store, expected):
    until_s = time.monotonic() + 2
    while state(store) != expected and time.monotonic() < until_s:
        pickups.tick(1.0, at(1))
        time.sleep(0.002)
    return state(store) == expected


def test_a_tick_returns_while_the_lock_is_being_pulsed_and_the_disk_says_so(bay):
    lock, store, pickups, ids = bay
    pickups.begin(ids, 0.0, at(0))
    assert pickups.tick(0.1, at(0)) == []
    assert state(store) == "pulsing"
    lock.may_end.set()
    assert tick_until(pickups, store, "pulsed")
    assert lock.begun == ["A"]


def test_a_cut_during_the_pulse_leaves_pulsing_and_the_next_start_does_not_pulse(bay):
    lock, store, pickups, ids = bay
    pickups.begin(ids, 0.0, at(0))
    again = Pickups(
        store, lock, lock, times=DoorTimings(open_s=10, close_s=90), random_bytes=os.urandom
    )
    (news,) = again.recover(0.0, at(0))
    assert news.state == "unknown"
    time.sleep(0.05)
    assert len(lock.begun) <= 1


def test_what_the_lock_says_at_the_end_is_in_the_record(bay):
    lock, store, pickups, ids = bay
    lock.fails = True
    pickups.begin(ids, 0.0, at(0))
    lock.may_end.set()
    assert tick_until(pickups, store, "pulsed")
    assert "stays energised" in lock_intents.unfinished(store)[0].detail


def test_a_door_that_was_open_and_shut_again_during_the_pulse_was_opened(bay):
    lock, store, pickups, ids = bay
    pickups.begin(ids, 0.0, at(0))
    lock.open = True
    pickups.tick(0.1, at(0))
    lock.open = False
    pickups.tick(0.2, at(0))
    lock.may_end.set()
    until_s = time.monotonic() + 2
    while lock_intents.unfinished(store) and time.monotonic() < until_s:
        pickups.tick(1.0, at(1))
        time.sleep(0.002)
    assert lock_intents.unfinished(store) == []  # collected: opened, and closed
