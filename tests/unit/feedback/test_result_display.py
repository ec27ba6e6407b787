"""Lamps over time."""

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
