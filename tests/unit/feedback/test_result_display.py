"""The lamps over time."""

from edge.feedback.result_display import ResultDisplay
from edge.ports import Signal


class Lamps:
    def __init__(self):
        self.shown = []

    def show(self, signal):
        self.shown.append(signal)

    def close(self):
        self.shown.append(Signal.OFF)


def test_a_result_is_held_before_idle_shows_again():
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    panel.result(Signal.GO, 10.0)
    panel.rest(Signal.IDLE, 11.9)
    panel.rest(Signal.IDLE, 12.0)
    panel.rest(Signal.IDLE, 12.1)
    assert lamps.shown == [Signal.GO, Signal.IDLE]


def test_a_second_refusal_is_shown_again_though_the_lamp_is_the_same():
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    panel.result(Signal.STOP, 10.0)
    panel.result(Signal.STOP, 11.0)
    assert lamps.shown == [Signal.STOP, Signal.STOP]


def test_a_device_that_needs_help_says_so_between_scans():
    lamps = Lamps()
    panel = ResultDisplay(lamps, hold_s=2.0)
    panel.rest(Signal.FAULT, 0.0)
    panel.result(Signal.GO, 1.0)
    panel.rest(Signal.FAULT, 3.0)
    assert lamps.shown == [Signal.FAULT, Signal.GO, Signal.FAULT]
