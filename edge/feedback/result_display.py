"""The lamps over time: a result is held, then idle shows again, or fault while the device needs help."""

from __future__ import annotations

from edge.ports import Indicator, Signal


class ResultDisplay:
    """Shows one signal at a time on an ``Indicator``. Time comes in with every call, in monotonic seconds."""

    def __init__(self, indicator: Indicator, hold_s: float) -> None:
        self._indicator = indicator
        self._hold_s = hold_s
        self._held_until_s = float("-inf")
        self._shown: Signal | None = None

    def result(self, signal: Signal, now_s: float) -> None:
        """Show a scan's result at once, even if the same signal stands, and hold it."""
        self._held_until_s = now_s + self._hold_s
        self._shown = signal
        self._indicator.show(signal)

    def rest(self, signal: Signal, now_s: float) -> None:
        """Show what stands between scans, once the last result has been held long enough."""
        if now_s >= self._held_until_s and signal is not self._shown:
            self._shown = signal
            self._indicator.show(signal)

    def holding(self, now_s: float) -> bool:
        """Whether a result stands that somebody may still be reading."""
        return now_s < self._held_until_s

    def close(self) -> None:
        """All lamps off."""
        self._indicator.close()
