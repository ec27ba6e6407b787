"""Faults of lock boards: a bad line, a board without power, an adapter that is unplugged."""

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


def becomes(expected, value, within_s=2.0):
    until_s = time.monotonic() + within_s
    while (found := value()) != expected and time.monotonic() < until_s:
        time.sleep(0.005)
    return found == expected


GARBLED = [LineFault.HALF_FRAME, LineFault.WRONG_ADDRESS, LineFault.BAD_CHECKSUM, LineFault.SILENT]


@pytest.mark.parametrize("fault", GARBLED, ids=lambda fault: fault.value)
def test_without_a_whole_reply_no_lock_gets_a_command_and_no_door_has_a_state(build, fault):
    here = build()
    assert here.locker.is_open("A1") is False
    here.boards.faults.add(fault)
    assert becomes(None, lambda: here.locker.is_open("A1"), within_s=1.2)
    assert "does not reply" in here.locker.problems["lock_board_0"]
    with pytest.raises(LockError, match="nothing was energised"):
        here.locker.pulse("A1")
    assert here.boards.open_commands == []
    here.boards.faults.clear()
    assert becomes(False, lambda: here.locker.is_open("A1"))
    assert here.locker.problems == {}
    here.locker.pulse("A1")
    assert becomes(True, lambda: here.locker.is_open("A1"))


@pytest.mark.parametrize("fault", [LineFault.NOISE, LineFault.ECHO], ids=lambda fault: fault.value)
def test_noise_around_a_reply_and_the_echo_of_a_query_are_ignored(build, fault):
    here = build()
    here.boards.faults.add(fault)
    here.locker.pulse("A2")
    assert becomes(True, lambda: here.locker.is_open("A2"))
    assert here.locker.is_open("A1") is False
    assert here.boards.open_commands == ["A2"]


def test_a_query_is_repeated_and_a_command_never_is(build):
    here = build()
    here.boards.lost_replies = 2
    here.boards.faults.add(LineFault.DROPS_COMMANDS)
    here.locker.pulse("A1")  # the board ignores it, and only the contact can show that
    time.sleep(0.2)
    assert here.boards.open_commands == ["A1"]
    assert here.locker.is_open("A1") is False


def test_a_line_lost_during_a_pulse_is_an_error_and_the_command_is_not_repeated(build):
    here = build()
    assert here.locker.is_open("A1") is False
    threading.Timer(PULSE_MS / 2000, here.boards.port.unplug).start()
    with pytest.raises(LockError, match="no reply after the command to lock A1"):
        here.locker.pulse("A1")
    assert becomes(None, lambda: here.locker.is_open("A1"))
    assert "plugged in" in here.locker.problems["lock_board_0"]
    here.boards.port.plug()
    assert becomes(True, lambda: here.locker.is_open("A1"))
    assert here.boards.open_commands == ["A1"]
    assert here.locker.problems == {}


def test_an_adapter_plugged_in_after_the_start_is_found(build):
    here = build(plugged=False)
    assert here.locker.is_open("A1") is None
    with pytest.raises(LockError, match="plugged in"):
        here.locker.pulse("A1")
    here.boards.port.plug()
    assert becomes(False, lambda: here.locker.is_open("A1"))
    here.locker.pulse("A1")
    assert here.boards.open_commands == ["A1"]


def test_a_state_counts_when_two_replies_in_a_row_agree(build):
    here = build()
    assert here.locker.is_open("A1") is False
    flicker = cycle([True, False])
    here.boards.doors.contact = lambda name: name == "A1" and next(flicker)
    states = set()
    for _ in range(60):
        states.add(here.locker.is_open("A1"))
        time.sleep(0.005)
    assert states == {False}


def test_a_setting_inverts_the_bits_of_a_board(build):
    here = build(closed_is_one=False)
    assert here.locker.is_open("A1") is False
    here.locker.pulse("A1")
    assert becomes(True, lambda: here.locker.is_open("A1"))
    assert here.locker.is_open("A2") is False


def test_it_can_be_closed_while_the_line_is_dead(build):
    here = build(plugged=False)
    here.locker.close()
    here.locker.close()
    with pytest.raises(LockError, match="closed"):
        here.locker.pulse("A1")


def test_a_door_that_closed_while_its_board_was_silent_is_counted_once(build):
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
