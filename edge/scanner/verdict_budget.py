"""How many codes are judged: a bound a frame and a second, so no wall of codes fills a journal.

A customer shows one code, a courier a few a second. A sheet of codes before the camera
gets a verdict on each of them, over some seconds.
"""

from __future__ import annotations

from typing import Final

MOST_A_FRAME: Final = 8
MOST_A_SECOND: Final = 16


class VerdictBudget:
    """Token bucket of verdicts. Pure: time is an argument, monotonic."""

    def __init__(
        self, *, most_a_frame: int = MOST_A_FRAME, most_a_second: int = MOST_A_SECOND
    ) -> None:
        self._most_a_frame = most_a_frame
        self._most_a_second = most_a_second
        self._saved = float(most_a_second)
        self._at_s = 0.0

    def allowance(self, now_s: float) -> int:
        """Return how many codes may be judged now, at most those of one frame."""
        earned = max(0.0, now_s - self._at_s) * self._most_a_second
        self._saved = min(float(self._most_a_second), self._saved + earned)
        self._at_s = now_s
        return min(self._most_a_frame, int(self._saved))

    def spend(self, verdicts: int) -> None:
        """Record that so many codes are judged."""
        self._saved -= verdicts
