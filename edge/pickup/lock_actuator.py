"""How a lock is told: at once, or in a thread of its own, so that a pulse delays neither a frame nor another door.

Either way the outcome is explicit. Who tells a lock has put that on disk before (law 5), asks for the outcome
until there is one, and puts that on disk too. Nothing is ever told twice for one key.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

from edge.ports import Lock, LockError


class LockActuator(Protocol):
    """Tells locks."""

    def tell(self, key: int, compartment: str) -> None:
        """Begin to pulse ``compartment``. ``key``: the intent that this is for. Never raises for a lock."""
        ...

    def outcome(self, key: int) -> str | None:
        """What came of it: None while it goes on, empty when the lock was told, else how it failed. Given once."""
        ...


class ImmediateActuator:
    """Implements ``LockActuator``: ``tell`` returns when the pulse is over."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._outcomes: dict[int, str] = {}

    def tell(self, key: int, compartment: str) -> None:
        """Pulse ``compartment`` and wait for the end."""
        self._outcomes[key] = _pulse(self._lock, compartment)

    def outcome(self, key: int) -> str | None:
        """What came of it."""
        return self._outcomes.pop(key, None)


class QueuedActuator:
    """Implements ``LockActuator``: pulses in a thread, one after the other, in the order in which they were asked for."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._changed = threading.Condition()
        self._asked: deque[tuple[int, str]] = deque()
        self._outcomes: dict[int, str] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="actuator", daemon=True)
        self._thread.start()

    def tell(self, key: int, compartment: str) -> None:
        """Have ``compartment`` pulsed when those before it are done. Returns at once."""
        with self._changed:
            if self._closed:
                self._outcomes[key] = "the lock is closed"
                return
            self._asked.append((key, compartment))
            self._changed.notify()

    def outcome(self, key: int) -> str | None:
        """What came of it."""
        with self._changed:
            return self._outcomes.pop(key, None)

    def close(self) -> None:
        """Tell no more locks: what was not begun is not. Close the lock first, to end a pulse. Safe to call twice."""
        with self._changed:
            self._closed = True
            self._outcomes |= {key: "not told: the device stopped" for key, _ in self._asked}
            self._asked.clear()
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked or self._closed)
                if self._closed:
                    return
                key, compartment = self._asked.popleft()
            outcome = _pulse(self._lock, compartment)
            with self._changed:
                self._outcomes[key] = outcome


def _pulse(lock: Lock, compartment: str) -> str:
    try:
        lock.pulse(compartment)
    except LockError as error:
        return f"the lock failed: {error}"
    except Exception as error:  # noqa: BLE001 - a driver may raise anything; the outcome must be told all the same
        return f"the lock failed: {type(error).__name__}: {error}"
    return ""
