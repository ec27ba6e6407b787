"""Locker in memory: the ports ``Lock`` and ``DoorSensor`` over simulated doors."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from edge.ports import LockError
from hardware_sim.parts.doors import Doors


class SimLocker:
    """Implements ``Lock``, ``DoorSensor`` and ``CountsOpenings``. Fails through ``doors.fail``."""

    def __init__(
        self, compartments: Iterable[str] = (), *, pulse_s: float = 0.0, doors: Doors | None = None
    ) -> None:
        self.doors = doors or Doors(compartments)
        self.pulses: list[str] = []  # every pulse, in order
        self._pulse_s = pulse_s
        self._energised: str | None = None
        self._one_at_a_time = threading.Lock()
        self._closing = threading.Event()
        self._open_doors = {name for name in self.doors.names if self.doors.contact(name)}
        self._openings: Counter[str] = Counter()
        self.doors.watchers.append(self._count_opening)

    @property
    def energised(self) -> frozenset[str]:
        """The compartments that are energised now: none, or one during its pulse."""
        name = self._energised
        return frozenset() if name is None else frozenset({name})

    def compartments(self) -> frozenset[str]:
        """Return the compartments."""
        return self.doors.names

    def pulse(self, compartment: str) -> None:
        """Energise for the pulse length.

        Raises LockError for an unknown compartment or after ``close``.
        """
        if compartment not in self.doors.names:
            raise LockError(f"there is no compartment {compartment!r}")
        with self._one_at_a_time:
            if self._closing.is_set():
                raise LockError("the lock is closed")
            self._energised = compartment
            try:
                self.pulses.append(compartment)
                self.doors.energise(compartment)
                self._closing.wait(self._pulse_s)
            finally:
                self._energised = None

    def is_open(self, compartment: str) -> bool | None:
        """Return what the contact reads; None for an unknown compartment."""
        return self.doors.contact(compartment) if compartment in self.doors.names else None

    def openings(self, compartment: str) -> int:
        """Return how often the door was opened and closed again since the start."""
        return self._openings[compartment]

    def _count_opening(self, compartment: str) -> None:
        is_open = self.doors.contact(compartment)
        if is_open:
            self._open_doors.add(compartment)
        elif is_open is False and compartment in self._open_doors:
            self._open_doors.remove(compartment)
            self._openings[compartment] += 1

    def close(self) -> None:
        """De-energise. Safe to call twice."""
        self._closing.set()
