"""The operators of JSON Logic (jsonlogic.com, "Supported Operations"), without ``log``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import isnan
from types import MappingProxyType
from typing import Final

from edge.rules.evaluator import Evaluator, Operator
from edge.rules.fault import EvaluationStopped, RuleFaultCause
from edge.rules.json_values import (
    Value,
    finite,
    is_number,
    less,
    look_up,
    loosely_equal,
    needed_number,
    strictly_equal,
    to_text,
)

_MANY: Final = 1000  # more arguments than any limit of steps or size lets through


def is_truthy(value: Value) -> bool:
    """Return whether ``value`` is truthy (jsonlogic.com/truthy).

    false, null, 0, NaN, "" and the empty list are not; an empty object is.
    """
    if type(value) is dict:
        return True
    return bool(value) and not (type(value) is float and isnan(value))


# Data


def _var(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    path, otherwise = _padded(run.some(arguments, data, depth, 0, 2), 2)
    there, value = look_up(data, path, run.meter)
    return value if there else otherwise


def _missing(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    paths = run.values(arguments, data, depth)
    return _lacking(run, paths[0] if paths and type(paths[0]) is list else paths, data)


def _missing_some(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    need, paths = run.some(arguments, data, depth, 2, 2)
    listed = _listed(paths)
    lacking = _lacking(run, listed, data)
    return [] if len(listed) - len(lacking) >= needed_number(need) else lacking


def _lacking(run: Evaluator, paths: list[Value], data: Value) -> list[Value]:
    return [path for path in paths if look_up(data, path, run.meter)[1] in (None, "")]


# Logic


def _if(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    for at in range(0, len(arguments) - 1, 2):
        if is_truthy(run.value(arguments[at], data, depth + 1)):
            return run.value(arguments[at + 1], data, depth + 1)
    return run.value(arguments[-1], data, depth + 1) if len(arguments) % 2 else None


def _and(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    return _first(run, arguments, data, depth, until=False)


def _or(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    return _first(run, arguments, data, depth, until=True)


def _first(
    run: Evaluator, arguments: list[Value], data: Value, depth: int, *, until: bool
) -> Value:
    value = None
    for argument in arguments:
        value = run.value(argument, data, depth + 1)
        if is_truthy(value) is until:
            break
    return value


def _not(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    return not is_truthy(_one(run, arguments, data, depth))


def _double_not(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    return is_truthy(_one(run, arguments, data, depth))


def _comparing(same: Callable[[Value, Value], bool], *, negated: bool = False) -> Operator:
    def operator(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
        left, right = _padded(run.some(arguments, data, depth, 1, 2), 2)
        _spend_texts(run, left, right)
        return same(left, right) is not negated

    return operator


def _ordering(*, or_equal: bool, descending: bool = False) -> Operator:
    """``<`` and ``<=`` also take three: between."""

    def operator(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
        values = run.some(arguments, data, depth, 2, 3)
        _spend_texts(run, *values)
        if descending:
            return less(values[1], values[0], or_equal=or_equal)
        return all(less(one, next_, or_equal=or_equal) for one, next_ in pairwise(values))

    return operator


# Arithmetic


def _plus(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    total: int | float = 0
    for value in run.values(arguments, data, depth):
        total = finite(total + needed_number(value))
    return total


def _times(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    total: int | float = 1
    for value in run.some(arguments, data, depth, 1, _MANY):
        total = finite(total * needed_number(value))
    return total


def _minus(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    values = [needed_number(value) for value in run.some(arguments, data, depth, 1, 2)]
    return finite(-values[0] if len(values) == 1 else values[0] - values[1])


def _divided(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    numerator, denominator = _two_numbers(run, arguments, data, depth)
    return finite(numerator / denominator)


def _modulo(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    """Return the remainder with the sign of the first number, as in JavaScript."""
    numerator, denominator = _two_numbers(run, arguments, data, depth)
    rest = abs(numerator) % abs(denominator)
    return finite(rest if numerator >= 0 else -rest)


def _two_numbers(
    run: Evaluator, arguments: list[Value], data: Value, depth: int
) -> tuple[int | float, int | float]:
    numerator, denominator = (
        needed_number(value) for value in run.some(arguments, data, depth, 2, 2)
    )
    if denominator == 0:
        raise EvaluationStopped(RuleFaultCause.NUMBER_RANGE, "division by zero")
    return numerator, denominator


def _extreme(choose: Callable[[list[int | float]], int | float]) -> Operator:
    def operator(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
        return choose(
            [needed_number(value) for value in run.some(arguments, data, depth, 1, _MANY)]
        )

    return operator


# Lists


def _in(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    what, where = _padded(run.some(arguments, data, depth, 1, 2), 2)
    if type(where) is str:
        return to_text(what, run.meter) in to_text(where, run.meter)
    if type(where) is not list:
        return False
    run.meter.spend(len(where))
    return any(strictly_equal(what, item) for item in where)


def _merge(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    merged: list[Value] = []
    for value in run.values(arguments, data, depth):
        items = value if type(value) is list else [value]
        run.meter.spend(len(items))
        merged += items
    return merged


def _map(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    items, logic = _items(run, arguments, data, depth)
    return [run.value(logic, item, depth + 1) for item in items]


def _filter(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    items, logic = _items(run, arguments, data, depth)
    return [item for item in items if is_truthy(run.value(logic, item, depth + 1))]


def _all(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    items, logic = _items(run, arguments, data, depth)
    return bool(items) and all(is_truthy(run.value(logic, item, depth + 1)) for item in items)


def _some(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    items, logic = _items(run, arguments, data, depth)
    return any(is_truthy(run.value(logic, item, depth + 1)) for item in items)


def _none(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    return not _some(run, arguments, data, depth)


def _reduce(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    if len(arguments) == 3:
        accumulator = run.value(arguments[2], data, depth + 1)
    elif len(arguments) == 2:
        accumulator = None
    else:
        raise EvaluationStopped(RuleFaultCause.ARGUMENTS, f"{len(arguments)} arguments, not 2 to 3")
    items, logic = _items(run, arguments[:2], data, depth)
    for item in items:
        accumulator = run.value(logic, {"current": item, "accumulator": accumulator}, depth + 1)
    return accumulator


def _items(
    run: Evaluator, arguments: list[Value], data: Value, depth: int
) -> tuple[list[Value], Value]:
    """Return the list of the first argument, empty if it is no list, and the logic for an item."""
    if len(arguments) != 2:
        raise EvaluationStopped(RuleFaultCause.ARGUMENTS, f"{len(arguments)} arguments, not 2")
    listed = run.value(arguments[0], data, depth + 1)
    return (listed if type(listed) is list else []), arguments[1]


# Texts


def _cat(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    values = run.values(arguments, data, depth)
    return "".join("" if value is None else to_text(value, run.meter) for value in values)


def _substr(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    source, *bounds = run.some(arguments, data, depth, 2, 3)
    text = to_text(source, run.meter)
    start, *lengths = (_whole(bound) for bound in bounds)
    begin = max(len(text) + start, 0) if start < 0 else start
    if not lengths:
        return text[begin:]
    end = len(text) + lengths[0] if lengths[0] < 0 else begin + lengths[0]
    return text[begin : max(end, 0)]


def _whole(value: Value) -> int:
    number = needed_number(value)
    return int(number)


# What they share


def _one(run: Evaluator, arguments: list[Value], data: Value, depth: int) -> Value:
    """Return the value of the first argument; JSON Logic ignores further ones."""
    return run.value(arguments[0], data, depth + 1) if arguments else None


def _padded(values: list[Value], length: int) -> list[Value]:
    return values + [None] * (length - len(values))


def _spend_texts(run: Evaluator, *values: Value) -> None:
    for value in values:
        if type(value) is str or is_number(value):
            to_text(value, run.meter)


def _listed(value: Value) -> list[Value]:
    if type(value) is not list:
        raise EvaluationStopped(RuleFaultCause.ARGUMENTS, "not a list")
    return value


OPERATORS: Final = MappingProxyType(
    {
        "var": _var,
        "missing": _missing,
        "missing_some": _missing_some,
        "if": _if,
        "?:": _if,
        "and": _and,
        "or": _or,
        "!": _not,
        "!!": _double_not,
        "==": _comparing(loosely_equal),
        "!=": _comparing(loosely_equal, negated=True),
        "===": _comparing(strictly_equal),
        "!==": _comparing(strictly_equal, negated=True),
        "<": _ordering(or_equal=False),
        "<=": _ordering(or_equal=True),
        ">": _ordering(or_equal=False, descending=True),
        ">=": _ordering(or_equal=True, descending=True),
        "+": _plus,
        "-": _minus,
        "*": _times,
        "/": _divided,
        "%": _modulo,
        "min": _extreme(min),
        "max": _extreme(max),
        "in": _in,
        "merge": _merge,
        "map": _map,
        "filter": _filter,
        "all": _all,
        "some": _some,
        "none": _none,
        "reduce": _reduce,
        "cat": _cat,
        "substr": _substr,
    }
)
