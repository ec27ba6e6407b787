"""A bad line, a board without power, an adapter pulled out: what a lock board's faults do, and what they never do."""

import threading
import time
from itertools import cycle
from types import SimpleNamespace

import pytest
from hardware_sim.parts.lock_board import LineFault, SimLockBoards

from edge.config import LockerSection
from edge.devices.lock_board import LockBoards
from edge.ports import LockError

PULSE_MS = 60


@pytest.fixture
def build(tmp_path):
    ends = []

    def build(*, closed_is_one=True, plugged=True):
        board = {"port": str(tmp_path / "line"), "closed_is_one": closed_is_one}
        doors = {"A1": {"lock_number": 1}, "A2": {"lock_number": 9}}
        section = {"driver": "board", "board": board, "compartments": doors, "pulse_ms": PULSE_MS}
        profile = LockerSection.model_validate(section)
        boards = SimLockBoards(
            tmp_path / "line",
            profile.board_places(),
            pulse_s=PULSE_MS / 1000,
            closed_is_one=closed_is_one,
        )
        if not plugged:
            boards.port.unplug()
        locker = LockBoards(profile)
        ends.extend((locker.close, boards.close))
        return SimpleNamespace(locker=locker, boards=boards)

    yield build
    for end in ends:
        end()


def becomes(expected, look, within_s=2.0):
    until_s = time.monotonic() + within_s
    while look() != expected and time.monotonic() < until_s:
        time.sleep(0.005)
    return look() == expected


GARBLED = [LineFault.HALF_FRAME, LineFault.WRONG_ADDRESS, LineFault.BAD_CHECKSUM, LineFault.SILENT]


@pytest.mark.parametrize("fault", GARBLED, ids=lambda fault: fault.value)
def test_without_a_whole_answer_no_lock_is_told_and_no_door_has_a_state(build, fault):
    here = build()
    assert here.locker.is_open("A1") is False
    here.boards.faults.add(fault)
    assert becomes(None, lambda: here.locker.is_open("A1"), within_s=1.2)
    assert "does not answer" in here.locker.problems["lock_board_0"]
    with pytest.raises(LockError, match="nothing was energised"):
        here.locker.pulse("A1")
    assert here.boards.orders == []
    here.boards.faults.clear()
    assert becomes(False, lambda: here.locker.is_open("A1"))
    assert here.locker.problems == {}
    here.locker.pulse("A1")
    assert becomes(True, lambda: here.locker.is_open("A1"))


@pytest.mark.parametrize("fault", [LineFault.NOISE, LineFault.ECHO], ids=lambda fault: fault.value)
def test_noise_around_an_answer_and_an_adapter_that_hears_itself_do_no_harm(build, fault):
    here = build()
    here.boards.faults.add(fault)
    here.locker.pulse("A2")
    assert becomes(True, lambda: here.locker.is_open("A2"))
    assert here.locker.is_open("A1") is False
    assert here.boards.orders == ["A2"]


def test_a_question_is_asked_again_and_an_order_never_is(build):
    here = build()
    here.boards.loses = 2
    here.boards.faults.add(LineFault.DEAF_TO_ORDERS)
    here.locker.pulse("A1")  # nobody heard it, and nobody can know but the contact
    time.sleep(0.2)
    assert here.boards.orders == ["A1"]
    assert here.locker.is_open("A1") is False


def test_a_line_lost_during_a_pulse_is_an_error_and_the_order_is_not_sent_again(build):
    here = build()
    assert here.locker.is_open("A1") is False
    threading.Timer(PULSE_MS / 2000, here.boards.port.unplug).start()
    with pytest.raises(LockError, match="silent after lock A1 was told"):
        here.locker.pulse("A1")
    assert becomes(None, lambda: here.locker.is_open("A1"))
    assert "plugged in" in here.locker.problems["lock_board_0"]
    here.boards.port.plug()
    assert becomes(True, lambda: here.locker.is_open("A1"))
    assert here.boards.orders == ["A1"]
    assert here.locker.problems == {}


def test_an_adapter_plugged_in_after_the_start_is_found(build):
    here = build(plugged=False)
    assert here.locker.is_open("A1") is None
    with pytest.raises(LockError, match="plugged in"):
        here.locker.pulse("A1")
    here.boards.port.plug()
    assert becomes(False, lambda: here.locker.is_open("A1"))
    here.locker.pulse("A1")
    assert here.boards.orders == ["A1"]


def test_a_state_is_believed_when_two_answers_in_a_row_agree(build):
    here = build()
    assert here.locker.is_open("A1") is False
    flicker = cycle([True, False])
    here.boards.doors.contact = lambda name: name == "A1" and next(flicker)
    seen = set()
    for _ in range(60):
        seen.add(here.locker.is_open("A1"))
        time.sleep(0.005)
    assert seen == {False}


def test_a_board_whose_bits_mean_the_opposite_is_a_setting(build):
    here = build(closed_is_one=False)
    assert here.locker.is_open("A1") is False
    here.locker.pulse("A1")
    assert becomes(True, lambda: here.locker.is_open("A1"))
    assert here.locker.is_open("A2") is False


def test_it_closes_while_the_line_is_dead(build):
    here = build(plugged=False)
    here.locker.close()
    here.locker.close()
    with pytest.raises(LockError, match="closed"):
        here.locker.pulse("A1")


def test_a_door_that_was_shut_while_its_board_was_silent_is_counted_and_the_silence_itself_is_not(
    build,
):
    here = build()
    here.locker.pulse("A1")
    assert becomes(True, lambda: here.locker.is_open("A1"))
    here.boards.faults.add(LineFault.SILENT)
    assert becomes(None, lambda: here.locker.is_open("A1"), within_s=3.0)
    here.boards.doors.close_door("A1")
    here.boards.faults.clear()
    assert becomes(1, lambda: here.locker.openings("A1"))
    here.boards.faults.add(LineFault.SILENT)
    assert becomes(None, lambda: here.locker.is_open("A1"), within_s=3.0)
    here.boards.faults.clear()
    assert becomes(False, lambda: here.locker.is_open("A1"))
    assert here.locker.openings("A1") == 1
