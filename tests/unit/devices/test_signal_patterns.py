"""Signals differ by rhythm and by sound, and green never means "no"."""

import pytest

from edge.devices.signal_patterns import IndicatorPart, Pattern, pattern_for, stand_in
from edge.ports import Signal

LAMPS = {IndicatorPart.GREEN, IndicatorPart.AMBER, IndicatorPart.RED}


def rhythm(pattern: Pattern):
    """Return when any lamp is on: what a colour-blind person sees."""
    return tuple((bool(step.parts & LAMPS), step.lasts_s) for step in pattern.loop)


def sound(pattern: Pattern):
    return tuple((IndicatorPart.BUZZER in step.parts, step.lasts_s) for step in pattern.once)


def test_signals_differ_in_rhythm_and_not_only_in_colour():
    assert len({rhythm(pattern_for(signal)) for signal in Signal}) == len(Signal)


def test_results_differ_by_sound():
    results = (Signal.GO, Signal.STOP, Signal.WAIT)
    assert len({sound(pattern_for(signal)) for signal in results}) == len(results)


def test_only_go_and_idle_light_green():
    green = {
        signal
        for signal in Signal
        for step in (*pattern_for(signal).once, *pattern_for(signal).loop)
        if IndicatorPart.GREEN in step.parts
    }
    assert green == {Signal.GO, Signal.IDLE}


@pytest.mark.parametrize(
    ("part", "present", "used"),
    [
        (IndicatorPart.AMBER, {IndicatorPart.AMBER, IndicatorPart.RED}, IndicatorPart.AMBER),
        (IndicatorPart.AMBER, {IndicatorPart.GREEN, IndicatorPart.RED}, IndicatorPart.RED),
        (IndicatorPart.RED, {IndicatorPart.GREEN, IndicatorPart.AMBER}, IndicatorPart.AMBER),
        (IndicatorPart.RED, {IndicatorPart.GREEN}, None),
        (IndicatorPart.GREEN, {IndicatorPart.AMBER, IndicatorPart.RED}, None),
        (IndicatorPart.BUZZER, {IndicatorPart.GREEN}, None),
    ],
)
def test_amber_and_red_replace_each_other_and_green_replaces_no_part(part, present, used):
    assert stand_in(part, frozenset(present)) is used
