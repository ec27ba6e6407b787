"""Indicator in memory that records every signal shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edge.ports import Signal


class SimIndicator:
    """Implements ``Indicator``. ``on_show`` is called with each signal."""

    def __init__(self, on_show: Callable[[Signal], None] | None = None) -> None:
        self.shown: list[Signal] = []
        self._on_show = on_show
        self._changed = threading.Condition()
        self._closed = False

    @property
    def showing(self) -> Signal:
        """The signal that is shown now."""
        with self._changed:
            return self.shown[-1] if self.shown and not self._closed else Signal.OFF

    def show(self, signal: Signal) -> None:
        """Show and record ``signal``."""
        with self._changed:
            if self._closed:
                return
            self.shown.append(signal)
            self._changed.notify_all()
        if self._on_show is not None:
            self._on_show(signal)

    def wait_for(self, signal: Signal, timeout_s: float = 5.0) -> bool:
        """Wait until ``signal`` is shown. Return False when it is not shown in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self.shown[-1:] != [signal]:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return False
            return True

    def close(self) -> None:
        """Switch everything off. Safe to call twice."""
        with self._changed:
            self._closed = True
