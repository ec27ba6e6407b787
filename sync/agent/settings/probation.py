"""How long new settings have done well at the broker."""

from __future__ import annotations

from edge.settings.state_machine import patience_s


class EndpointProbation:
    """How long the present candidate has been healthy. Monotonic seconds."""

    def __init__(self) -> None:
        self._of: str | None = None
        self._began_s = 0.0
        self._healthy_since_s: float | None = None

    def turn(
        self, candidate: str | None, *, healthy: bool, probation_s: float, now_s: float
    ) -> bool:
        """Take note of how it is now. True when it has been healthy for long enough."""
        if candidate != self._of:
            self._of, self._began_s, self._healthy_since_s = candidate, now_s, None
        if not healthy:
            self._healthy_since_s = None
        elif self._healthy_since_s is None:
            self._healthy_since_s = now_s
        return self._healthy_since_s is not None and now_s - self._healthy_since_s >= probation_s

    def overdue(self, probation_s: float, now_s: float) -> bool:
        """Whether it has had its time."""
        return now_s - self._began_s > patience_s(probation_s)
