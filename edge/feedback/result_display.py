"""Lamps over time: a result is held, then idle is shown, or fault while the device needs help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.ports import Indicator, Signal

# Of two codes in one frame, the one that helps a person further is shown.
_BEST_FIRST: Final = (Signal.GO, Signal.WAIT, Signal.FAULT, Signal.STOP)


@dataclass(frozen=True, slots=True)
class _Held:
    """The result that is held."""

    signal: Signal
    ours: bool
    seen_ns: int | None

    def outranks(self, other: _Held) -> bool:
        """Return whether it stays when ``other`` comes while it is held."""
        if self.ours != other.ours:
            return self.ours
        same_frame = self.seen_ns is not None and self.seen_ns == other.seen_ns
        return same_frame and _BEST_FIRST.index(self.signal) <= _BEST_FIRST.index(other.signal)


class ResultDisplay:
    """Display of one signal at a time on an ``Indicator``. Time is an argument, monotonic."""

    def __init__(self, indicator: Indicator, hold_s: float) -> None:
        self._indicator = indicator
        self._hold_s = hold_s
        self._held_until_s = float("-inf")
        self._held: _Held | None = None
        self._shown: Signal | None = None

    def show_result(
        self, signal: Signal, now_s: float, *, ours: bool = True, seen_ns: int | None = None
    ) -> bool:
        """Show a result at once, even if it is the same signal as before, and hold it.

        ``ours`` False: a code that the platform did not sign. It replaces no held result of a code
        of ours. ``seen_ns`` is the time of the frame: of its codes, the best result is shown.
        Return whether this one is shown.
        """
        result = _Held(signal, ours, seen_ns)
        held = self._held if self.is_showing_result(now_s) else None
        if held is not None and held.outranks(result):
            return False
        self._held = result
        self._held_until_s = now_s + self._hold_s
        self._shown = signal
        self._indicator.show(signal)
        return True

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
