"""Lamps over time: a result is held, then idle is shown, or fault while the device needs help."""

from __future__ import annotations

from edge.ports import Indicator, Signal


class ResultDisplay:
    """Display of one signal at a time on an ``Indicator``. Time is an argument, monotonic."""

    def __init__(self, indicator: Indicator, hold_s: float) -> None:
        self._indicator = indicator
        self._hold_s = hold_s
        self._held_until_s = float("-inf")
        self._shown: Signal | None = None

    def show_result(self, signal: Signal, now_s: float) -> None:
        """Show a scan's result at once, even if it is the same signal as before, and hold it."""
        self._held_until_s = now_s + self._hold_s
        self._shown = signal
        self._indicator.show(signal)

    def show_idle(self, signal: Signal, now_s: float) -> None:
        """Show the signal between scans, once the last result has been held long enough."""
        if now_s >= self._held_until_s and signal is not self._shown:
            self._shown = signal
            self._indicator.show(signal)

    def is_showing_result(self, now_s: float) -> bool:
        """Return whether a result is held that a person may still be reading."""
        return now_s < self._held_until_s

    def close(self) -> None:
        """Switch all lamps off."""
        self._indicator.close()
