"""How often the platform may make this device begin a new epoch: an acknowledgement is unsigned.

An honest platform needs one after an old copy of the store was put back, and two when a device has
a twin. A false one could ask for thousands. What it is refused is asked for again: nothing is lost.
"""

from __future__ import annotations

from typing import Final

AT_ONCE: Final = 3
ANOTHER_AFTER_S: Final = 6 * 3600.0


class EpochAllowance:
    """Gives ``AT_ONCE`` epochs at once, and another each ``ANOTHER_AFTER_S``."""

    def __init__(self) -> None:
        self._left = float(AT_ONCE)
        self._counted_s: float | None = None  # monotonic; None: none was taken yet

    def take(self, monotonic_s: float) -> bool:
        """Return whether a new epoch may begin now, and count it."""
        if self._counted_s is not None:
            gained = (monotonic_s - self._counted_s) / ANOTHER_AFTER_S
            self._left = min(float(AT_ONCE), self._left + gained)
        self._counted_s = monotonic_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
