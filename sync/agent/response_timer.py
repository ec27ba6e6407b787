"""How the platform replies: how long it has been silent, and how long a reply takes. Pure.

Sending again changes nothing of it: silence is silence, however often a device asks.
"""

from __future__ import annotations


class ResponseTimer:
    """The replies that are awaited on one connection. Times are monotonic, seconds."""

    def __init__(self) -> None:
        self._silent_since_s: float | None = None
        self._timed: tuple[int, float] | None = None  # a number that was sent, and when
        self._last_reply_s = 0.0

    def start_over(self) -> None:
        """Begin on a new connection: nothing is awaited yet."""
        self._silent_since_s, self._timed, self._last_reply_s = None, None, 0.0

    def note_sent(self, seq: int, monotonic_s: float) -> None:
        """Await a reply to event ``seq``, or with 0 to the question what the platform has."""
        self._silent_since_s = monotonic_s if self._silent_since_s is None else self._silent_since_s
        self._timed = self._timed or (seq, monotonic_s)

    def note_reply(self, through_seq: int, monotonic_s: float, *, more: bool) -> None:
        """Note a reply to all through ``through_seq``; ``more`` are awaited."""
        self._silent_since_s = monotonic_s if more else None
        if self._timed is not None and (through_seq >= self._timed[0] or not more):
            self._last_reply_s = monotonic_s - self._timed[1]
            self._timed = None

    def silence_s(self, monotonic_s: float) -> float:
        """Return for how long no reply has come although one is awaited."""
        return 0.0 if self._silent_since_s is None else monotonic_s - self._silent_since_s

    def reply_time_s(self, monotonic_s: float) -> float:
        """Return how long a reply takes: the last one or, if that is longer, the one awaited."""
        awaited_s = 0.0 if self._timed is None else monotonic_s - self._timed[1]
        return max(self._last_reply_s, awaited_s)
