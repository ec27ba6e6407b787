"""The walk over an expression: literals, lists, and one operator an object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge.rules.fault import EvaluationMeter, EvaluationStopped, RuleFaultCause
from edge.rules.json_values import Value

Operator = Callable[
    ["Evaluator", list[Value], Value, int], Value
]  # arguments unevaluated, data, depth
Operators = Mapping[str, Operator]


@dataclass(frozen=True, slots=True)
class Evaluator:
    """One evaluation in progress."""

    operators: Operators
    meter: EvaluationMeter

    def value(self, logic: Value, data: Value, depth: int) -> Value:
        """Return the value of ``logic``. Raises Stop."""
        self.meter.enter(depth)
        if type(logic) is list:
            return [self.value(item, data, depth + 1) for item in logic]
        if type(logic) is dict and len(logic) == 1:
            ((name, arguments),) = logic.items()
            return self._apply(name, arguments, data, depth)
        return logic

    def values(self, arguments: list[Value], data: Value, depth: int) -> list[Value]:
        """Return the values of an operator's arguments."""
        return [self.value(argument, data, depth + 1) for argument in arguments]

    def some(
        self, arguments: list[Value], data: Value, depth: int, least: int, most: int
    ) -> list[Value]:
        """As ``values``, of ``least`` to ``most`` arguments."""
        if not least <= len(arguments) <= most:
            raise EvaluationStopped(
                RuleFaultCause.ARGUMENTS, f"{len(arguments)} arguments, not {least} to {most}"
            )
        return self.values(arguments, data, depth)

    def _apply(self, name: Value, arguments: Value, data: Value, depth: int) -> Value:
        operator = self.operators.get(name)
        if operator is None:
            raise EvaluationStopped(RuleFaultCause.UNKNOWN_OPERATOR, f"{name!s:.40}")
        return operator(self, arguments if type(arguments) is list else [arguments], data, depth)
