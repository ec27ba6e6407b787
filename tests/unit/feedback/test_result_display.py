"""Lamps over time."""

from itertools import permutations

import pytest

from edge.feedback.result_display import ResultDisplay
from edge.ports import Signal


class Lamps:
    def __init__(self):
        self.shown = []

    def show(self, signal):
        self.shown.append(signal)

    def close(self):
        self.shown.append(Signal.OFF)


def test_a_result_is_held_before_idle_is_shown_again():
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    panel.show_result(Signal.GO, 10.0)
    panel.show_idle(Signal.IDLE, 11.9)
    panel.show_idle(Signal.IDLE, 12.0)
    panel.show_idle(Signal.IDLE, 12.1)
    assert lamps.shown == [Signal.GO, Signal.IDLE]


def test_a_result_counts_as_shown_while_it_is_held():
    panel = ResultDisplay(Lamps(), hold_s=2.0)
    assert not panel.is_showing_result(9.0)
    panel.show_result(Signal.GO, 10.0)
    assert panel.is_showing_result(11.9)
    assert not panel.is_showing_result(12.0)


def test_a_second_refusal_is_shown_again_with_the_same_signal():
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    panel.show_result(Signal.STOP, 10.0)
    panel.show_result(Signal.STOP, 11.0)
    assert lamps.shown == [Signal.STOP, Signal.STOP]


def test_a_device_that_needs_help_shows_fault_between_scans():
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    panel.show_idle(Signal.FAULT, 0.0)
    panel.show_result(Signal.GO, 1.0)
    panel.show_idle(Signal.FAULT, 3.0)
    assert lamps.shown == [Signal.FAULT, Signal.GO, Signal.FAULT]


def test_a_foreign_code_does_not_replace_the_result_of_one_of_ours():
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    for held in (Signal.GO, Signal.WAIT, Signal.STOP):
        panel.show_result(held, 10.0)
        assert not panel.show_result(Signal.STOP, 11.0, ours=False)
    assert panel.show_result(Signal.STOP, 12.0, ours=False)  # no longer held
    assert lamps.shown == [Signal.GO, Signal.WAIT, Signal.STOP, Signal.STOP]


def test_one_of_ours_replaces_the_result_of_a_foreign_code():
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    panel.show_result(Signal.STOP, 10.0, ours=False, seen_ns=1)
    assert panel.show_result(Signal.STOP, 10.0, seen_ns=1)
    assert lamps.shown == [Signal.STOP, Signal.STOP]


def test_a_newer_result_of_ours_replaces_go():
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    panel.show_result(Signal.GO, 10.0, seen_ns=1)
    assert panel.show_result(Signal.STOP, 10.5, seen_ns=2)
    assert lamps.shown == [Signal.GO, Signal.STOP]


@pytest.mark.parametrize("order", list(permutations([Signal.GO, Signal.WAIT, Signal.STOP])))
def test_of_the_codes_of_one_frame_the_best_result_stays(order):
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    for signal in order:
        panel.show_result(signal, 10.0, seen_ns=1)
    assert lamps.shown[-1] is Signal.GO


def test_a_door_that_fails_replaces_go():
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    panel.show_result(Signal.GO, 10.0, seen_ns=1)
    assert panel.show_result(Signal.FAULT, 10.1)
