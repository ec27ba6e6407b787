"""Null devices for missing hardware: the device still scans and records (law 6)."""

from __future__ import annotations

from edge.ports import LockError, Signal


class NoIndicator:
    """``Indicator`` of a device without lamps."""

    def show(self, signal: Signal) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class NoLocker:
    """``Lock`` and ``DoorSensor`` of a device whose locks are missing or cannot be driven."""

    def __init__(self, why: str = "this device has no locks") -> None:
        """Report ``why`` at every attempt to open a lock."""
        self._why = why

    def compartments(self) -> frozenset[str]:
        """Return the empty set."""
        return frozenset()

    def pulse(self, compartment: str) -> None:
        """Raise LockError: nothing was energised."""
        raise LockError(f"compartment {compartment}: {self._why}")

    def is_open(self, compartment: str) -> bool | None:
        """Return None: the state is not known."""
        del compartment
        return None

    def close(self) -> None:
        """Do nothing."""
