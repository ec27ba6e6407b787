"""Stand-ins for hardware that is not there: the device still scans, records, and says what is missing (law 6)."""

from __future__ import annotations

from edge.ports import LockError, Signal


class NoIndicator:
    """Implements ``Indicator`` where there are no lamps."""

    def show(self, signal: Signal) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing to release."""


class NoLocker:
    """Implements ``Lock`` and ``DoorSensor`` where no lock can be driven. ``why`` is told with every attempt."""

    def __init__(self, why: str = "this device has no locks") -> None:
        self._why = why

    def compartments(self) -> frozenset[str]:
        """None."""
        return frozenset()

    def pulse(self, compartment: str) -> None:
        """Raise LockError: nothing was energised."""
        raise LockError(f"compartment {compartment}: {self._why}")

    def is_open(self, compartment: str) -> bool | None:
        """Unknown."""
        del compartment
        return None

    def close(self) -> None:
        """Nothing to release."""
