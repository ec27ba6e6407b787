"""CertLogic's operators (specification 1.3): strict about number and sort of arguments, with date-times."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from edge.rules.datetimes import UNITS, Moment, parse_moment, plus_time
from edge.rules.evaluator import Evaluator, Operator
from edge.rules.fault import Cause, Stop
from edge.rules.json_values import Value, finite, is_number, look_up, strictly_equal

_UVCI_PREFIX: Final = "URN:UVCI:"
_UVCI_SEPARATORS: Final = re.compile(r"[/#:]")
_MANY: Final = 1000  # more arguments than any limit of steps or size lets through


def is_truthy(value: Value) -> bool:
    """False, null, "", 0 and what is empty are falsy; a date-time is neither. Raises Stop."""
    if type(value) is Moment:
        raise Stop(Cause.ARGUMENTS, "a date-time is neither truthy nor falsy")
    return bool(value)


def _var(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    del depth
    if len(arguments) != 1 or type(arguments[0]) is not str:
        raise Stop(Cause.MALFORMED, "var takes a path")
    return look_up(data, arguments[0], run.meter)[1]


def _if(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    if len(arguments) != 3:
        raise Stop(Cause.ARGUMENTS, f"if takes 3 arguments, not {len(arguments)}")
    guard, then, otherwise = arguments
    return run.value(
        then if run.truthy(run.value(guard, data, depth + 1)) else otherwise, data, depth + 1
    )


def _and(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    if len(arguments) < 2:
        raise Stop(Cause.ARGUMENTS, "and takes at least 2 arguments")
    value = None
    for argument in arguments:
        value = run.value(argument, data, depth + 1)
        if not run.truthy(value):
            break
    return value


def _not(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    (value,) = run.some(arguments, data, depth, 1, 1)
    return not run.truthy(value)


def _same(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    left, right = run.some(arguments, data, depth, 2, 2)
    return strictly_equal(left, right)


def _in(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    what, where = run.some(arguments, data, depth, 2, 2)
    if where is None:
        return False
    if type(where) is not list:
        raise Stop(Cause.ARGUMENTS, "in takes a list as its second argument")
    run.meter.spend(len(where))
    return any(strictly_equal(what, item) for item in where)


def _plus(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    left, right = (_integer(value) for value in run.some(arguments, data, depth, 2, 2))
    return finite(left + right)


def _comparing(sort: Callable[[Value], int], holds: Callable[[int, int], bool]) -> Operator:
    """Of two, or of three each with its neighbour; ``sort`` reads an argument or raises Stop."""

    def operator(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
        values = [sort(value) for value in run.some(arguments, data, depth, 2, 3)]
        return all(holds(one, next_) for one, next_ in pairwise(values))

    return operator


def _plus_time(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    if len(arguments) != 3:
        raise Stop(Cause.ARGUMENTS, f"plusTime takes 3 arguments, not {len(arguments)}")
    when, amount, unit = arguments
    if unit not in UNITS:
        raise Stop(Cause.ARGUMENTS, f"plusTime's unit is none of {', '.join(UNITS)}")
    return plus_time(parse_moment(_text(run.value(when, data, depth + 1))), _integer(amount), unit)


def _birth_date(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    (text,) = run.some(arguments, data, depth, 1, 1)
    return parse_moment(_text(text))


def _reduce(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    if len(arguments) != 3:
        raise Stop(Cause.ARGUMENTS, f"reduce takes 3 arguments, not {len(arguments)}")
    items = run.value(arguments[0], data, depth + 1)
    accumulator = run.value(arguments[2], data, depth + 1)
    if items is not None and type(items) is not list:
        raise Stop(Cause.ARGUMENTS, "reduce takes a list or null")
    for item in items or ():
        scope = {"accumulator": accumulator, "current": item, "data": data}
        accumulator = run.value(arguments[1], scope, depth + 1)
    return accumulator


def _from_uvci(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    uvci, index = run.some(arguments, data, depth, 2, 2)
    at = _integer(index)
    if uvci is None or at < 0:
        return None
    text = _text(uvci)
    run.meter.spend(len(text))
    fragments = _UVCI_SEPARATORS.split(text.removeprefix(_UVCI_PREFIX))
    return fragments[at] if at < len(fragments) else None


def _integer(value: Value) -> int:
    if is_number(value):
        number = finite(value)
        if type(number) is int:
            return number
    raise Stop(Cause.ARGUMENTS, "not an integer")


def _moment(value: Value) -> int:
    if type(value) is not Moment:
        raise Stop(Cause.ARGUMENTS, "not a date-time: make one with plusTime")
    return value.ms


def _text(value: Value) -> str:
    if type(value) is not str:
        raise Stop(Cause.ARGUMENTS, "not a text")
    return value


OPERATORS: Final = MappingProxyType(
    {
        "var": _var,
        "if": _if,
        "and": _and,
        "!": _not,
        "===": _same,
        "in": _in,
        "+": _plus,
        "<": _comparing(_integer, lambda one, other: one < other),
        "<=": _comparing(_integer, lambda one, other: one <= other),
        ">": _comparing(_integer, lambda one, other: one > other),
        ">=": _comparing(_integer, lambda one, other: one >= other),
        "before": _comparing(_moment, lambda one, other: one < other),
        "not-after": _comparing(_moment, lambda one, other: one <= other),
        "after": _comparing(_moment, lambda one, other: one > other),
        "not-before": _comparing(_moment, lambda one, other: one >= other),
        "plusTime": _plus_time,
        "dccDateOfBirth": _birth_date,
        "reduce": _reduce,
        "extractFromUVCI": _from_uvci,
    }
)
