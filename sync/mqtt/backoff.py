"""Delays between attempts: full jitter, so that a fleet does not return in one instant. Pure.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog 2015 (full jitter).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

PERMANENT_DOUBLINGS: Final = 7  # after a permanent failure: 1 s to 120 s by default


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The state of one repeated attempt.

    Each failure doubles the range that the next delay is drawn from.
    """

    floor_s: float = 1.0
    cap_s: float = 120.0
    failures: int = 0  # since a success
    doublings: int = 0  # of the range; more than ``failures`` after a permanent one

    def failed(self, *, permanent: bool = False) -> Backoff:
        """Return the state after one more failure.

        A ``permanent`` one (an authentication failure) goes to the longest delays at once.
        """
        doublings = max(self.doublings + 1, PERMANENT_DOUBLINGS if permanent else 0)
        return replace(self, failures=self.failures + 1, doublings=doublings)

    def succeeded(self) -> Backoff:
        """Return the state after a success that lasted."""
        return replace(self, failures=0, doublings=0)

    def delay_s(self, uniform: Callable[[float, float], float]) -> float:
        """Return the seconds to wait before the next attempt.

        They are uniform from ``floor_s`` to the doubled range, and never more than the cap.

        >>> Backoff(doublings=3).delay_s(lambda low, high: high)
        8.0
        >>> Backoff(doublings=30).delay_s(lambda low, high: high)
        120.0
        """
        if self.doublings == 0:
            return 0.0
        return uniform(self.floor_s, min(self.cap_s, self.floor_s * 2.0 ** min(self.doublings, 30)))
