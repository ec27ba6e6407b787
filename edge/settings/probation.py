"""The probation of new settings: healthy for long enough on end, or overdue. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Probation:
    """One candidate under observation. All times are seconds of one monotonic clock.

    >>> probation = Probation(candidate="a", duration_s=10.0, began_s=0.0)
    >>> probation.observed(healthy=True, now_s=1.0).is_passed(11.0)
    True
    >>> probation.observed(healthy=False, now_s=1.0).is_passed(11.0)
    False
    >>> probation.is_overdue(46.0)
    True
    """

    candidate: str | None
    duration_s: float  # how long the device must be healthy without a break
    began_s: float
    healthy_since_s: float | None = None

    def observed(self, *, healthy: bool, now_s: float) -> Probation:
        """Return the probation after one more look. An unhealthy one starts the duration anew."""
        if not healthy:
            return replace(self, healthy_since_s=None)
        return self if self.healthy_since_s is not None else replace(self, healthy_since_s=now_s)

    def is_passed(self, now_s: float) -> bool:
        """Return whether the device has been healthy for long enough without a break."""
        since_s = self.healthy_since_s
        return since_s is not None and now_s - since_s >= self.duration_s

    def is_overdue(self, now_s: float) -> bool:
        """Return whether the candidate has had all the time that it may take."""
        return now_s - self.began_s > longest_probation_s(self.duration_s)


def longest_probation_s(duration_s: float) -> float:
    """Return how long a candidate may take to be healthy for ``duration_s`` without a break."""
    return 3 * duration_s + 15.0
