"""Counters of each rung's tries, reads, faults and time, for the metrics of a fleet."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class RungCount:
    """Running totals of one rung since the decoder was made."""

    tries: int = 0
    reads: int = 0  # tries that read at least one code
    faults: int = 0  # tries that raised, crashed or overran
    busy_ms: float = 0.0

    def plus(self, other: RungCount) -> RungCount:
        """Return the sum of both totals."""
        return RungCount(
            self.tries + other.tries,
            self.reads + other.reads,
            self.faults + other.faults,
            self.busy_ms + other.busy_ms,
        )


def monotonic_ms() -> float:
    """Return milliseconds from an arbitrary start."""
    return time.perf_counter() * 1000
