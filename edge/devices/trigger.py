"""A trigger button between a GPIO pin and ground, pulled up inside the Pi."""

from __future__ import annotations

from typing import Any

from edge.config import Trigger


class TriggerUnavailableError(Exception):
    """The trigger's pin cannot be had. The message says what to do."""


class GpioTrigger:
    """Says whether the button is held."""

    def __init__(self, section: Trigger, *, pin_factory: Any) -> None:
        """Take the pin. Raises TriggerUnavailableError."""
        from gpiozero import Button

        try:
            self._button = Button(section.pin, pull_up=True, pin_factory=pin_factory)
        except Exception as error:  # gpiozero's errors and those of the pin library
            raise TriggerUnavailableError(
                f"trigger on pin {section.pin}: {error}: check the pins in the profile"
            ) from error

    def is_pressed(self) -> bool:
        """Whether the button is held now. A pin that cannot be read counts as held: rather scan than stay asleep."""
        try:
            return bool(self._button.is_pressed)
        except Exception:  # noqa: BLE001 - whatever the pin library raises
            return True

    def close(self) -> None:
        """Release the pin. Safe to call twice."""
        self._button.close()
