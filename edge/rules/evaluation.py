"""Evaluate an expression on data: total, deterministic, bounded in depth and steps."""

from __future__ import annotations

from typing import Final

from edge.rules.evaluator import Evaluator
from edge.rules.fault import (
    EvaluationLimits,
    EvaluationMeter,
    EvaluationStopped,
    RuleFault,
    RuleFaultCause,
)
from edge.rules.json_logic import OPERATORS
from edge.rules.json_values import Value

DEFAULT: Final = EvaluationLimits()


def evaluate(logic: Value, data: Value, *, limits: EvaluationLimits = DEFAULT) -> Value | RuleFault:
    """Return the value of ``logic`` on ``data``, or why it has none. Never raises for any JSON.

    >>> evaluate({"<": [{"var": "hour"}, 18]}, {"hour": 9})
    True
    >>> str(evaluate({"launch": []}, {}))
    'unknown_operator: launch'
    """
    return evaluate_on(EvaluationMeter(limits), logic, data)


def evaluate_on(meter: EvaluationMeter, logic: Value, data: Value) -> Value | RuleFault:
    """Evaluate as ``evaluate`` does, on a meter that others share."""
    try:
        return Evaluator(OPERATORS, meter).value(logic, data, 0)
    except EvaluationStopped as stop:
        return stop.fault
    except RecursionError:  # a depth limit set higher than this machine's stack
        return RuleFault(RuleFaultCause.TOO_DEEP)
