"""Lamps and buzzer on GPIO pins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain, cycle
from typing import Any

from edge.config import Indicators
from edge.devices.signal_patterns import IndicatorPart, PatternStep, pattern_for, stand_in
from edge.ports import Signal


class GpioIndicator:
    """``Indicator`` over GPIO pins. A signal's first step is on the pins when ``show`` returns."""

    def __init__(self, section: Indicators, *, pin_factory: Any) -> None:
        """Claim the pins, all off.

        A part whose pin cannot be claimed is left out and listed in ``problems``.
        """
        self.problems: dict[str, str] = {}  # part to what is wrong
        pins = {
            IndicatorPart.GREEN: section.green_pin,
            IndicatorPart.AMBER: section.amber_pin,
            IndicatorPart.RED: section.red_pin,
            IndicatorPart.BUZZER: section.buzzer_pin,
        }
        self._outputs: dict[IndicatorPart, Any] = {}
        for part, pin in pins.items():
            if pin is not None:
                self._claim(part, pin, active_high=section.active_high, pin_factory=pin_factory)
        self._changed = threading.Condition()
        self._steps: Iterator[PatternStep] = iter(())
        self._next_after_s: float | None = None  # None: the step stays
        self._showings = 0
        self._closed = False
        self._player = threading.Thread(target=self._play, name="indicator", daemon=True)
        self._player.start()

    def _claim(self, part: IndicatorPart, pin: int, *, active_high: bool, pin_factory: Any) -> None:
        from gpiozero import DigitalOutputDevice

        try:
            self._outputs[part] = DigitalOutputDevice(
                pin, active_high=active_high, initial_value=False, pin_factory=pin_factory
            )
        except Exception as error:  # noqa: BLE001 - gpiozero's errors and those of the pin library
            self.problems[part.value] = (
                f"{part.value} on pin {pin}: {error}: check the pins in the profile"
            )

    def show(self, signal: Signal) -> None:
        """Show ``signal`` until the next call. The same signal again starts from its first step."""
        pattern = pattern_for(signal)
        with self._changed:
            if self._closed:
                return
            self._steps = chain(pattern.once, cycle(pattern.loop))
            self._showings += 1
            self._advance()
            self._changed.notify()

    def close(self) -> None:
        """Switch all lamps off and release the pins. Safe to call twice."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
        self._player.join()
        for output in self._outputs.values():
            output.off()
            output.close()

    def _advance(self) -> None:
        step = next(self._steps)
        present = frozenset(self._outputs)
        lit = {stand_in(part, present) for part in step.parts}
        for part, output in self._outputs.items():
            if output.value != (part in lit):
                output.value = part in lit
        self._next_after_s = step.lasts_s

    def _play(self) -> None:
        with self._changed:
            while not self._closed:
                showing = self._showings
                interrupted = self._changed.wait(self._next_after_s)
                if not interrupted and showing == self._showings and not self._closed:
                    self._advance()
