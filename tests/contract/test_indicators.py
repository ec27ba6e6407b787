"""Lamps and buzzer: what people see and hear, on mock pins, and one contract with the simulator."""

import itertools
import time

import pytest
from gpiozero.pins.mock import MockFactory
from hardware_sim.parts.indicator import SimIndicator

from edge.config import Indicators
from edge.devices.gpio_indicator import GpioIndicator
from edge.devices.signal_patterns import IndicatorPart, Pattern, pattern_for, stand_in
from edge.ports import Signal

PINS = {"green_pin": 17, "amber_pin": 18, "red_pin": 19, "buzzer_pin": 20}


def on_gpio(factory=None, **changes):
    return GpioIndicator(Indicators(**{**PINS, **changes}), pin_factory=factory or MockFactory())


@pytest.mark.parametrize("make", [on_gpio, SimIndicator])
def test_any_signal_may_follow_any_other_and_closing_twice_is_harmless(make):
    indicator = make()
    for pair in itertools.permutations(Signal, 2):
        for signal in pair:
            indicator.show(signal)
    indicator.close()
    indicator.close()
    indicator.show(Signal.GO)  # after closing: nothing


def lit(factory, **pins):
    return {name for name, number in (pins or PINS).items() if factory.pin(number).state}


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (Signal.GO, {"green_pin", "buzzer_pin"}),
        (Signal.STOP, {"red_pin", "buzzer_pin"}),
        (Signal.WAIT, {"amber_pin", "buzzer_pin"}),
        (Signal.FAULT, {"amber_pin"}),
        (Signal.IDLE, {"green_pin"}),
        (Signal.OFF, set()),
    ],
)
def test_the_lamp_is_lit_when_show_returns(signal, expected):
    factory = MockFactory()
    indicator = on_gpio(factory)
    indicator.show(signal)
    assert lit(factory) == expected
    indicator.close()


def test_nothing_is_lit_at_the_start_and_after_the_end():
    factory = MockFactory()
    indicator = on_gpio(factory)
    assert lit(factory) == set()
    indicator.show(Signal.GO)
    indicator.close()
    assert lit(factory) == set()
    assert {factory.pin(number).function for number in PINS.values()} == {"input"}


def test_stop_is_a_fast_red_blink_with_two_beeps_and_green_stays_dark():
    factory = MockFactory()
    indicator = on_gpio(factory)
    indicator.show(Signal.STOP)
    time.sleep(0.9)
    indicator.close()
    assert [state.state for state in factory.pin(20).states] == [False, True, False, True, False]
    assert len(factory.pin(19).states) >= 6
    assert len(factory.pin(17).states) == 1


def test_a_new_signal_replaces_the_old_one_at_once():
    factory = MockFactory()
    indicator = on_gpio(factory)
    for _ in range(50):
        indicator.show(Signal.STOP)
        indicator.show(Signal.GO)
        assert lit(factory) == {"green_pin", "buzzer_pin"}
    time.sleep(0.6)
    assert lit(factory) == {"green_pin"}  # the beep is over, the lamp stays
    indicator.close()


def test_lamps_that_are_active_low_are_dark_when_high():
    factory = MockFactory()
    indicator = on_gpio(factory, active_high=False)
    assert lit(factory) == set(PINS)
    indicator.show(Signal.OFF)
    assert lit(factory) == set(PINS)
    indicator.show(Signal.GO)
    assert lit(factory) == {"amber_pin", "red_pin"}
    indicator.close()


def test_a_device_without_lamps_shows_nothing_and_does_not_fail():
    indicator = GpioIndicator(Indicators(), pin_factory=MockFactory())
    for signal in Signal:
        indicator.show(signal)
    indicator.close()


def rhythm(pattern: Pattern, part: IndicatorPart | None = None):
    """On and off times of the lamps (or of one part), colours left out: what a colour-blind person sees."""
    lamps = (
        {IndicatorPart.GREEN, IndicatorPart.AMBER, IndicatorPart.RED} if part is None else {part}
    )
    return tuple((bool(step.parts & lamps), step.lasts_s) for step in pattern.then)


def test_signals_differ_in_rhythm_and_not_only_in_colour():
    rhythms = {rhythm(pattern_for(signal)) for signal in Signal}
    assert len(rhythms) == len(Signal)


def test_results_differ_by_ear():
    results = (Signal.GO, Signal.STOP, Signal.WAIT)
    heard = {
        tuple(
            (IndicatorPart.BUZZER in step.parts, step.lasts_s) for step in pattern_for(signal).once
        )
        for signal in results
    }
    assert len(heard) == len(results)


def test_only_go_and_idle_ever_light_green():
    green = {
        signal
        for signal in Signal
        if any(
            IndicatorPart.GREEN in step.parts
            for step in (*pattern_for(signal).once, *pattern_for(signal).then)
        )
    }
    assert green == {Signal.GO, Signal.IDLE}


@pytest.mark.parametrize(
    ("part", "present", "plays"),
    [
        (IndicatorPart.AMBER, {IndicatorPart.AMBER, IndicatorPart.RED}, IndicatorPart.AMBER),
        (IndicatorPart.AMBER, {IndicatorPart.GREEN, IndicatorPart.RED}, IndicatorPart.RED),
        (IndicatorPart.RED, {IndicatorPart.GREEN, IndicatorPart.AMBER}, IndicatorPart.AMBER),
        (IndicatorPart.RED, {IndicatorPart.GREEN}, None),
        (IndicatorPart.GREEN, {IndicatorPart.AMBER, IndicatorPart.RED}, None),
        (IndicatorPart.BUZZER, {IndicatorPart.GREEN}, None),
    ],
)
def test_amber_and_red_stand_in_for_each_other_and_green_for_none(part, present, plays):
    assert stand_in(part, frozenset(present)) is plays


def test_the_simulator_tells_what_it_shows():
    seen = []
    indicator = SimIndicator(on_show=seen.append)
    indicator.show(Signal.GO)
    assert indicator.wait_for(Signal.GO, 0)
    assert not indicator.wait_for(Signal.STOP, 0.01)
    assert indicator.showing is Signal.GO
    indicator.close()
    assert (seen, indicator.showing) == ([Signal.GO], Signal.OFF)


def test_a_lamp_whose_pin_is_taken_is_named_and_the_others_still_shine():
    factory = MockFactory()
    taken = on_gpio(factory, green_pin=4, amber_pin=None, buzzer_pin=None)
    indicator = on_gpio(factory)
    assert list(indicator.problems) == ["red"]
    indicator.show(Signal.STOP)
    assert lit(factory) == {"amber_pin", "buzzer_pin"}  # amber stands in
    indicator.close()
    taken.close()
