"""Door contacts on GPIO pins: a switch between the pin and ground, pulled up inside the Pi.

A normally open reed switch beside a closed door pulls the pin low, so high means open
(``door_open_high = true``). A cut wire then reads as an open door, never as a closed one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from edge.config import LockerSection

# A shorter opening is a bounce of the contact, or interference of the lock's own coil.
OPEN_AT_LEAST_S: Final = 0.05


class GpioDoorSensor:
    """``DoorSensor`` over GPIO pins. Supports ``CountsOpenings``."""

    def __init__(
        self,
        section: LockerSection,
        *,
        pin_factory: Any,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Claim the contacts' pins.

        A contact whose pin cannot be claimed reads None and is listed in ``problems``.
        """
        self.problems: dict[str, str] = {}  # compartment to what is wrong
        self._open_high = {name: door.door_open_high for name, door in section.compartments.items()}
        self._contacts: dict[str, Any] = {}
        self._monotonic_s = monotonic_s
        self._opened_at_s: dict[str, float] = {}
        self._openings: Counter[str] = Counter()
        for name, door in section.compartments.items():
            if door.door_pin is not None:
                self._claim(name, door.door_pin, pin_factory)

    def _claim(self, name: str, pin: int, pin_factory: Any) -> None:
        from gpiozero import DigitalInputDevice

        try:
            contact = self._contacts[name] = DigitalInputDevice(
                pin, pull_up=True, pin_factory=pin_factory
            )
            contact.when_activated = lambda: self._record_edge(name, low=True)
            contact.when_deactivated = lambda: self._record_edge(name, low=False)
            self._record_edge(name, low=bool(contact.value))  # the door may be open already
        except Exception as error:  # noqa: BLE001 - gpiozero's errors and those of the pin library
            self.problems[name] = (
                f"contact of {name} on pin {pin}: {error}: check the pins in the profile"
            )

    def is_open(self, compartment: str) -> bool | None:
        """Return whether the door is open; None without a contact, or when it cannot be read."""
        contact = self._contacts.get(compartment)
        if contact is None:
            return None
        try:
            low = bool(contact.value)  # gpiozero calls a pulled-up pin active when it is low
        except Exception:  # noqa: BLE001 - the pin library may raise anything; the state is unknown
            return None
        return low != self._open_high[compartment]

    def openings(self, compartment: str) -> int:
        """Return how often the door opened and closed since the start, by the pin's edges."""
        return self._openings[compartment]

    def _record_edge(self, name: str, *, low: bool) -> None:
        """Record a change of the contact. Runs in the pin library's thread."""
        if low != self._open_high[name]:
            self._opened_at_s[name] = self._monotonic_s()
            return
        opened_at_s = self._opened_at_s.pop(name, None)
        if opened_at_s is not None and self._monotonic_s() - opened_at_s >= OPEN_AT_LEAST_S:
            self._openings[name] += 1

    def close(self) -> None:
        """Release the pins. Safe to call twice."""
        for contact in self._contacts.values():
            contact.close()
