"""Pulse locks: at once, or in a thread, so that a pulse delays neither a frame nor another door.

Either way the outcome is explicit. The caller puts an intent on disk before it asks for a pulse
(law 5), polls for the outcome until there is one, and puts that on disk too. No key is pulsed
twice.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from edge.ports import Lock, LockError


@dataclass(frozen=True, slots=True)
class PulseOutcome:
    """How a pulse ended. ``fault``: why the lock was not pulsed, or not for sure; None: it was."""

    fault: str | None = None


class LockActuator(Protocol):
    """Pulses locks, and keeps the outcome of each pulse until it is read."""

    def pulse(self, key: int, compartment: str) -> None:
        """Begin to pulse ``compartment`` for the intent ``key``. Never raises for a lock."""
        ...

    def outcome(self, key: int) -> PulseOutcome | None:
        """Return how the pulse ended, once; None while it goes on."""
        ...


class ImmediateActuator:
    """Implements ``LockActuator``: ``pulse`` returns when the pulse is over."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._outcomes: dict[int, PulseOutcome] = {}

    def pulse(self, key: int, compartment: str) -> None:
        """Pulse ``compartment`` and wait for the end."""
        self._outcomes[key] = _pulse(self._lock, compartment)

    def outcome(self, key: int) -> PulseOutcome | None:
        """Return how the pulse ended."""
        return self._outcomes.pop(key, None)


class QueuedActuator:
    """Implements ``LockActuator``: pulses in a thread, one after another, in the order of calls."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._changed = threading.Condition()
        self._queue: deque[tuple[int, str]] = deque()
        self._outcomes: dict[int, PulseOutcome] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="actuator", daemon=True)
        self._thread.start()

    def pulse(self, key: int, compartment: str) -> None:
        """Queue a pulse of ``compartment``. Returns at once."""
        with self._changed:
            if self._closed:
                self._outcomes[key] = PulseOutcome("the lock is closed")
                return
            self._queue.append((key, compartment))
            self._changed.notify()

    def outcome(self, key: int) -> PulseOutcome | None:
        """Return how the pulse ended."""
        with self._changed:
            return self._outcomes.pop(key, None)

    def close(self) -> None:
        """Begin no more pulses. Close the lock first, to end a pulse. Safe to call twice."""
        with self._changed:
            self._closed = True
            stopped = PulseOutcome("not pulsed: the device stopped")
            self._outcomes |= {key: stopped for key, _ in self._queue}
            self._queue.clear()
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                key, compartment = self._queue.popleft()
            outcome = _pulse(self._lock, compartment)
            with self._changed:
                self._outcomes[key] = outcome


def _pulse(lock: Lock, compartment: str) -> PulseOutcome:
    try:
        lock.pulse(compartment)
    except LockError as error:
        return PulseOutcome(f"the lock failed: {error}")
    except Exception as error:  # noqa: BLE001 - a driver may raise anything; the outcome must be recorded
        return PulseOutcome(f"the lock failed: {type(error).__name__}: {error}")
    return PulseOutcome()
