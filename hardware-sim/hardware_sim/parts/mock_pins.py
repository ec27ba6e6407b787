"""Simulated doors wired to gpiozero's mock pins, for the real lock and contact adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpiozero.pins.mock import MockFactory, MockPin

from edge.config import LockerSection
from hardware_sim.parts.doors import Doors


class WiredPin(MockPin):  # type: ignore[misc]  # gpiozero ships no types
    """A mock pin that reports its output, and reads its input from a function."""

    on_output: Callable[[bool], None] | None = None
    level: Callable[[], bool] | None = None

    def _change_state(self, value: bool) -> bool:
        changed: bool = super()._change_state(value)
        if self.on_output is not None and self.function == "output":
            self.on_output(value)
        return changed

    def _get_state(self) -> bool:
        if self.level is not None and self.function == "input":
            return self.level()
        state: bool = super()._get_state()
        return state

    def input_changed(self) -> None:
        """Signal an edge to the listeners of this input."""
        if self.level is not None and self.function == "input":
            level = self.level()
            super()._change_state(not level)  # so that the next line is an edge
            (self.drive_high if level else self.drive_low)()


def wired_factory(section: LockerSection, doors: Doors) -> MockFactory:
    """Return a pin factory with ``doors`` connected to the pins that ``section`` names.

    The pull-up decides the level of a contact that cannot be read, as with a cut wire.
    """
    factory = MockFactory(pin_class=WiredPin)
    contacts: dict[str, WiredPin] = {}
    for name, compartment in section.compartments.items():
        if compartment.lock_pin is not None:
            lock_pin: Any = factory.pin(compartment.lock_pin)
            lock_pin.on_output = _coil(name, doors, active_high=section.active_high)
        if compartment.door_pin is not None:
            door_pin: Any = factory.pin(compartment.door_pin)
            door_pin.level = _contact(name, doors, open_high=compartment.door_open_high)
            contacts[name] = door_pin
    doors.watchers.append(lambda name: contacts[name].input_changed() if name in contacts else None)
    return factory


def _coil(name: str, doors: Doors, *, active_high: bool) -> Callable[[bool], None]:
    def drive(level: bool) -> None:
        if level == active_high:
            doors.energise(name)

    return drive


def _contact(name: str, doors: Doors, *, open_high: bool) -> Callable[[], bool]:
    def level() -> bool:
        is_open = doors.contact(name)
        return True if is_open is None else is_open == open_high

    return level
