"""Simulated locker doors: a bolt drawn by current, a spring, a contact, and their failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum


class DoorFailure(Enum):
    """A failure of one door."""

    STUCK_CLOSED = "stuck_closed"  # the bolt is drawn, the door jams
    NO_OPEN = "no_open"  # the lock does nothing: cut wire, dead coil
    LEFT_OPEN = "left_open"  # the person does not close it
    SENSOR_STUCK_OPEN = "sensor_stuck_open"
    SENSOR_STUCK_CLOSED = "sensor_stuck_closed"
    SENSOR_NONE = "sensor_none"  # no contact, or it cannot be read


class Doors:
    """The doors of a locker. Safe to use from several threads.

    Energising a lock makes its door spring open. It stays open until ``close_door``, or for
    ``person_closes_after_s`` seconds, as if a person closed it then.
    """

    def __init__(
        self, compartments: Iterable[str], *, person_closes_after_s: float | None = None
    ) -> None:
        self._closes_after_s = person_closes_after_s
        self._lock = threading.Lock()
        self._opened_at: dict[str, float | None] = dict.fromkeys(compartments)
        self._failures: dict[str, set[DoorFailure]] = {name: set() for name in self._opened_at}
        self._reported: dict[str, bool | None] = dict.fromkeys(self._opened_at, False)
        self.openings: list[str] = []  # each time a door sprang open
        # Each is called with the compartment after its contact has changed.
        self.watchers: list[Callable[[str], None]] = []

    @property
    def names(self) -> frozenset[str]:
        """The compartments."""
        return frozenset(self._opened_at)

    def fail(self, compartment: str, failure: DoorFailure) -> None:
        """Add a failure to this door."""
        with self._changing(compartment):
            self._failures[compartment].add(failure)

    def repair(self, compartment: str) -> None:
        """Remove every failure of this door."""
        with self._changing(compartment):
            self._failures[compartment].clear()

    def energise(self, compartment: str) -> None:
        """Send current through the lock's coil."""
        with self._changing(compartment):
            jammed = self._failures[compartment] & {DoorFailure.STUCK_CLOSED, DoorFailure.NO_OPEN}
            if not jammed and not self._is_open(compartment):
                self._opened_at[compartment] = time.monotonic()
                self.openings.append(compartment)

    def close_door(self, compartment: str) -> None:
        """Push the door shut; no effect on a door that was LEFT_OPEN."""
        with self._changing(compartment):
            if DoorFailure.LEFT_OPEN not in self._failures[compartment]:
                self._opened_at[compartment] = None

    def is_open(self, compartment: str) -> bool:
        """Return whether the door is open, as a person sees it."""
        with self._lock:
            return self._is_open(compartment)

    def contact(self, compartment: str) -> bool | None:
        """Return what the contact reads: True open, False closed, None unreadable."""
        with self._changing(compartment):
            return self._contact(compartment)

    @contextmanager
    def _changing(self, compartment: str) -> Iterator[None]:
        """Hold the lock; afterwards call the watchers if this door's contact has changed."""
        with self._lock:
            yield
            before, self._reported[compartment] = (
                self._reported[compartment],
                self._contact(compartment),
            )
            changed = before is not self._reported[compartment]
        if changed:
            for watcher in self.watchers:
                watcher(compartment)

    def _contact(self, compartment: str) -> bool | None:
        failures = self._failures[compartment]
        if DoorFailure.SENSOR_NONE in failures:
            return None
        if DoorFailure.SENSOR_STUCK_OPEN in failures:
            return True
        if DoorFailure.SENSOR_STUCK_CLOSED in failures:
            return False
        return self._is_open(compartment)

    def _is_open(self, compartment: str) -> bool:
        opened_at = self._opened_at[compartment]
        if opened_at is None:
            return False
        left_open = DoorFailure.LEFT_OPEN in self._failures[compartment]
        if (
            self._closes_after_s is not None
            and not left_open
            and time.monotonic() - opened_at >= self._closes_after_s
        ):
            self._opened_at[compartment] = None
            return False
        return True
