"""What tells that somebody is there: a trigger button, or a presence sensor."""

from __future__ import annotations

from typing import Any

from edge.config import Presence, Trigger
from edge.values.errors import EdgeError


class TriggerUnavailableError(EdgeError):
    """The pin cannot be had. The message says what to do."""


class GpioTrigger:
    """Says whether the button, between a pin and ground, is held; or whether the sensor is on."""

    def __init__(self, section: Trigger | Presence, *, pin_factory: Any) -> None:
        """Take the pin, pulled inside the Pi to where nobody is. Raises TriggerUnavailableError."""
        from gpiozero import DigitalInputDevice

        active_high = isinstance(section, Presence) and section.active_high
        try:
            self._input = DigitalInputDevice(
                section.pin, pull_up=not active_high, pin_factory=pin_factory
            )
        except Exception as error:  # gpiozero's errors and those of the pin library
            raise TriggerUnavailableError(
                f"{type(section).__name__.lower()} on pin {section.pin}: {error}: check the pins in the profile"
            ) from error

    def is_pressed(self) -> bool:
        """Whether it is on now. A pin that cannot be read counts as on: rather scan than stay asleep."""
        try:
            return bool(self._input.is_active)
        except Exception:  # noqa: BLE001 - whatever the pin library raises
            return True

    def close(self) -> None:
        """Release the pin. Safe to call twice."""
        self._input.close()
