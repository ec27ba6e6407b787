"""Door contacts on GPIO pins: a reed switch or microswitch between the pin and ground, pulled up inside the Pi.

A normally open reed switch beside a closed door pulls the pin low, so high means open
(``door_open_high = true``), and a cut wire reads as an open door: never as a closed one.
"""

from __future__ import annotations

from typing import Any

from edge.config import Locker


class GpioDoorSensor:
    """Implements ``DoorSensor``."""

    def __init__(self, section: Locker, *, pin_factory: Any) -> None:
        """Take the pins of the contacts. One whose pin cannot be had reads None and is named in ``problems``."""
        self.problems: dict[str, str] = {}  # compartment to what is wrong
        self._open_high = {name: door.door_open_high for name, door in section.compartments.items()}
        self._contacts: dict[str, Any] = {}
        for name, door in section.compartments.items():
            if door.door_pin is not None:
                self._take(name, door.door_pin, pin_factory)

    def _take(self, name: str, pin: int, pin_factory: Any) -> None:
        from gpiozero import DigitalInputDevice

        try:
            self._contacts[name] = DigitalInputDevice(pin, pull_up=True, pin_factory=pin_factory)
        except Exception as error:  # noqa: BLE001 - gpiozero's errors and those of the pin library
            self.problems[name] = f"contact of {name} on pin {pin}: {error}: check the pins in the profile"

    def is_open(self, compartment: str) -> bool | None:
        """True open, False closed, None when there is no contact or it cannot be read."""
        contact = self._contacts.get(compartment)
        if contact is None:
            return None
        try:
            low = bool(contact.value)  # gpiozero calls a pulled-up pin active when it is low
        except Exception:  # noqa: BLE001 - whatever the pin library raises, the door's state is not known
            return None
        return low != self._open_high[compartment]

    def close(self) -> None:
        """Release the pins. Safe to call twice."""
        for contact in self._contacts.values():
            contact.close()
