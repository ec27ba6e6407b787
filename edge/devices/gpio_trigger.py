"""Trigger button or presence sensor on a GPIO pin."""

from __future__ import annotations

from typing import Any

from edge.config import Presence, Trigger
from edge.values.errors import EdgeError


class TriggerUnavailableError(EdgeError):
    """The pin cannot be claimed. The message says what to do."""


class GpioTrigger:
    """``Switch`` over a GPIO pin: a button between the pin and ground, or a presence sensor."""

    def __init__(self, section: Trigger | Presence, *, pin_factory: Any) -> None:
        """Claim the pin, pulled inside the Pi to its off level. Raises TriggerUnavailableError."""
        from gpiozero import DigitalInputDevice

        active_high = isinstance(section, Presence) and section.active_high
        try:
            self._input = DigitalInputDevice(
                section.pin, pull_up=not active_high, pin_factory=pin_factory
            )
        except Exception as error:  # gpiozero's errors and those of the pin library
            name = type(section).__name__.lower()
            raise TriggerUnavailableError(
                f"{name} on pin {section.pin}: {error}: check the pins in the profile"
            ) from error

    def is_pressed(self) -> bool:
        """Return whether it is on now. An unreadable pin counts as on, so that codes are read."""
        try:
            return bool(self._input.is_active)
        except Exception:  # noqa: BLE001 - the pin library may raise anything
            return True

    def close(self) -> None:
        """Release the pin. Safe to call twice."""
        self._input.close()
