"""Lamps and buzzer on mock pins, and one contract with the simulator."""

import itertools
import time
from types import SimpleNamespace

import pytest
from gpiozero.pins.mock import MockFactory
from hardware_sim.parts.indicator import SimIndicator

from edge.config import Indicators
from edge.devices.gpio_indicator import GpioIndicator
from edge.ports import Signal

PINS = {"green_pin": 17, "amber_pin": 18, "red_pin": 19, "buzzer_pin": 20}


def on_gpio(factory=None, **changes):
    return GpioIndicator(Indicators(**{**PINS, **changes}), pin_factory=factory or MockFactory())


def lit(factory):
    return {name for name, number in PINS.items() if factory.pin(number).state}


FIRST_STEP = {  # of each signal
    Signal.GO: {"green_pin", "buzzer_pin"},
    Signal.STOP: {"red_pin", "buzzer_pin"},
    Signal.WAIT: {"amber_pin", "buzzer_pin"},
    Signal.FAULT: {"amber_pin"},
    Signal.AIM: {"amber_pin"},
    Signal.IDLE: {"green_pin"},
    Signal.OFF: set(),
}


def gpio_pins():
    factory = MockFactory()
    indicator = on_gpio(factory)

    def shows_at_once(signal):
        with indicator._changed:  # so that the player cannot go on to the second step
            indicator.show(signal)
            return lit(factory) == FIRST_STEP[signal]

    return SimpleNamespace(
        indicator=indicator, shows_at_once=shows_at_once, is_off=lambda: lit(factory) == set()
    )


def simulated():
    indicator = SimIndicator()

    def shows_at_once(signal):
        indicator.show(signal)
        return indicator.showing is signal

    return SimpleNamespace(
        indicator=indicator,
        shows_at_once=shows_at_once,
        is_off=lambda: indicator.showing is Signal.OFF,
    )


@pytest.fixture(params=[gpio_pins, simulated], ids=lambda kind: kind.__name__)
def device(request):
    device = request.param()
    yield device
    device.indicator.close()


def test_any_signal_may_follow_any_other_and_is_shown_when_show_returns(device):
    for before, after in itertools.permutations(Signal, 2):
        assert device.shows_at_once(before)
        assert device.shows_at_once(after)


def test_after_closing_nothing_is_shown(device):
    device.indicator.show(Signal.GO)
    device.indicator.close()
    device.indicator.close()
    assert device.is_off()
    device.indicator.show(Signal.GO)
    assert device.is_off()


def test_no_lamp_is_lit_at_the_start_and_after_closing():
    factory = MockFactory()
    indicator = on_gpio(factory)
    assert lit(factory) == set()
    indicator.show(Signal.GO)
    indicator.close()
    assert lit(factory) == set()
    assert {factory.pin(number).function for number in PINS.values()} == {"input"}


def test_stop_is_a_fast_red_blink_with_two_beeps_and_no_green():
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
    assert lit(factory) == {"green_pin"}, "the beep has ended, the lamp is still on"
    indicator.close()


def test_active_low_lamps_are_dark_when_their_pins_are_high():
    factory = MockFactory()
    indicator = on_gpio(factory, active_high=False)
    assert lit(factory) == set(PINS)
    indicator.show(Signal.OFF)
    assert lit(factory) == set(PINS)
    indicator.show(Signal.GO)
    assert lit(factory) == {"amber_pin", "red_pin"}
    indicator.close()


def test_a_device_without_lamps_accepts_every_signal_and_claims_no_pin():
    factory = MockFactory()
    indicator = GpioIndicator(Indicators(), pin_factory=factory)
    for signal in Signal:
        indicator.show(signal)
    indicator.close()
    assert (indicator.problems, factory.pins) == ({}, {})


def test_the_simulator_reports_what_it_shows():
    reported = []
    indicator = SimIndicator(on_show=reported.append)
    indicator.show(Signal.GO)
    assert indicator.wait_for(Signal.GO, 0)
    assert not indicator.wait_for(Signal.STOP, 0.01)
    assert indicator.showing is Signal.GO
    indicator.close()
    assert (reported, indicator.showing) == ([Signal.GO], Signal.OFF)


def test_a_lamp_whose_pin_is_in_use_is_reported_and_the_others_work():
    factory = MockFactory()
    other = on_gpio(factory, green_pin=4, amber_pin=None, buzzer_pin=None)
    indicator = on_gpio(factory)
    assert list(indicator.problems) == ["red"]
    indicator.show(Signal.STOP)
    assert lit(factory) == {"amber_pin", "buzzer_pin"}, "amber replaces red"
    indicator.close()
    other.close()
