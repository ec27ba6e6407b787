"""How the platform answers: how long it has been silent, and how long an answer takes. Pure.

Sending again changes nothing of it: silence is silence, however often one asks into it.
"""

from __future__ import annotations


class ResponseTimer:
    """What is awaited on one connection. Times are monotonic, seconds."""

    def __init__(self) -> None:
        self._silent_since_s: float | None = None
        self._marked: tuple[int, float] | None = (
            None  # a number that was sent, and when: its answer is timed
        )
        self._took_s = 0.0

    def connected(self) -> None:
        """A new connection: nothing is awaited on it yet."""
        self._silent_since_s, self._marked, self._took_s = None, None, 0.0

    def asked(self, seq: int, monotonic_s: float) -> None:
        """An answer is awaited: to event ``seq``, or with 0 to a question where the platform is."""
        self._silent_since_s = monotonic_s if self._silent_since_s is None else self._silent_since_s
        self._marked = self._marked or (seq, monotonic_s)

    def heard(self, through_seq: int, monotonic_s: float, *, more: bool) -> None:
        """An answer came, to all through ``through_seq``; ``more`` are awaited."""
        self._silent_since_s = monotonic_s if more else None
        if self._marked is not None and (through_seq >= self._marked[0] or not more):
            self._took_s = monotonic_s - self._marked[1]
            self._marked = None

    def silent_s(self, monotonic_s: float) -> float:
        """For how long nothing has been heard though something is awaited."""
        return 0.0 if self._silent_since_s is None else monotonic_s - self._silent_since_s

    def takes_s(self, monotonic_s: float) -> float:
        """How long an answer takes: the last one, or that which is awaited if it is longer already."""
        awaited_s = 0.0 if self._marked is None else monotonic_s - self._marked[1]
        return max(self._took_s, awaited_s)
