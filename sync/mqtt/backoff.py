"""When to try again: full jitter, so that a fleet does not come back in one instant. Pure.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog 2015 (full jitter).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The state of one repeated attempt. Each failure doubles the range that the next delay is drawn from."""

    floor_s: float = 1.0
    cap_s: float = 120.0
    attempt: int = 0

    def failed(self, *, hopeless: bool = False) -> Backoff:
        """After one more failure; ``hopeless`` (an authentication failure) goes to the longest delays at once."""
        return replace(self, attempt=max(self.attempt + 1, 7 if hopeless else 0))

    def succeeded(self) -> Backoff:
        """After a success that proved itself."""
        return replace(self, attempt=0)

    def delay_s(self, uniform: Callable[[float, float], float]) -> float:
        """Seconds to wait before the next attempt: uniform from ``floor_s`` to the doubled range, never over the cap.

        >>> Backoff(attempt=3).delay_s(lambda low, high: high)
        8.0
        >>> Backoff(attempt=30).delay_s(lambda low, high: high)
        120.0
        """
        if self.attempt == 0:
            return 0.0
        return uniform(
            self.floor_s,
            min(self.cap_s, max(self.floor_s * 2.0 ** min(self.attempt, 30), self.floor_s)),
        )
