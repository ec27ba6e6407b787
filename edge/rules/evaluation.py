"""Evaluate an expression on data: total, deterministic, bounded in depth and steps. No clock, no effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from edge.rules import cert_logic, json_logic
from edge.rules.evaluator import Evaluator, Operators
from edge.rules.fault import Cause, Fault, Limits, Meter, Stop
from edge.rules.json_values import Value

DEFAULT: Final = Limits()


class Dialect(StrEnum):
    """Which language an expression is in."""

    JSON_LOGIC = "jsonlogic"  # jsonlogic.com
    CERT_LOGIC = "certlogic"  # the EU's DCC rules: a stricter subset with date-times


_OPERATORS: Final[Mapping[Dialect, tuple[Operators, Callable[[Value], bool]]]] = {
    Dialect.JSON_LOGIC: (json_logic.OPERATORS, json_logic.is_truthy),
    Dialect.CERT_LOGIC: (cert_logic.OPERATORS, cert_logic.is_truthy),
}


def evaluate(
    logic: Value, data: Value, *, dialect: Dialect = Dialect.JSON_LOGIC, limits: Limits = DEFAULT
) -> Value | Fault:
    """Return the value of ``logic`` on ``data``, or why it has none. Never raises, for anything that JSON holds.

    >>> evaluate({"<": [{"var": "hour"}, 18]}, {"hour": 9})
    True
    >>> str(evaluate({"launch": []}, {}))
    'unknown_operator: launch'
    """
    return evaluate_on(Meter(limits), logic, data, dialect)


def evaluate_on(meter: Meter, logic: Value, data: Value, dialect: Dialect) -> Value | Fault:
    """As ``evaluate``, on a meter that others share."""
    operators, truthy = _OPERATORS[dialect]
    try:
        return Evaluator(operators, truthy, meter, strict=dialect is Dialect.CERT_LOGIC).value(
            logic, data, 0
        )
    except Stop as stop:
        return stop.fault
    except RecursionError:  # a depth limit set higher than this machine's stack
        return Fault(Cause.TOO_DEEP)
