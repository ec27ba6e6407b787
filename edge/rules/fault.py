"""Why a rule could not say yes, and the meter that keeps it bounded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RuleFaultCause(StrEnum):
    """The code of a cause, in the detail of ``rule_failed``."""

    NOT_MET = "not_met"  # it says no
    NOT_BOOLEAN = "not_boolean"  # it says neither yes nor no
    MALFORMED = "malformed"  # not an expression, or not a list of rules
    UNKNOWN_OPERATOR = "unknown_operator"
    ARGUMENTS = "arguments"  # an operator with too few, too many or the wrong sort of them
    NUMBER_RANGE = "number_range"  # beyond what every JSON reader keeps exact, or division by zero
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    TOO_MANY_STEPS = "too_many_steps"
    NO_LOCAL_TIME = "no_local_time"  # the site's time zone is not known to this device


@dataclass(frozen=True, slots=True)
class RuleFault:
    """An expression without a value."""

    cause: RuleFaultCause
    detail: str = ""  # in English, for authors of rules; no data of the order

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}" if self.detail else self.cause.value


class EvaluationStopped(Exception):  # noqa: N818 - an outcome of the world, raised and caught inside this room
    """Ends an evaluation. ``evaluate`` turns it into a ``RuleFault``."""

    def __init__(self, cause: RuleFaultCause, detail: str = "") -> None:
        super().__init__(cause, detail)
        self.fault = RuleFault(cause, detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationLimits:
    """The cost limits of an evaluation. A step is a node, an element or 16 characters."""

    steps: int = 10_000
    depth: int = 32


class EvaluationMeter:
    """Counts what an evaluation costs."""

    __slots__ = ("_depth", "_steps")

    def __init__(self, limits: EvaluationLimits) -> None:
        self._steps = limits.steps
        self._depth = limits.depth

    def spend(self, steps: int) -> None:
        """Spend ``steps`` before the work. Raises EvaluationStopped when too few are left."""
        self._steps -= steps
        if self._steps < 0:
            raise EvaluationStopped(RuleFaultCause.TOO_MANY_STEPS)

    def enter(self, depth: int) -> None:
        """Account for a node at ``depth``. Raises EvaluationStopped beyond the limits."""
        if depth > self._depth:
            raise EvaluationStopped(RuleFaultCause.TOO_DEEP, f"more than {self._depth} levels")
        self.spend(1)
