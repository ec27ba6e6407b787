"""JSON values, and JavaScript's conversions between them (ECMA-262, chapter 7), for JSON Logic."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from edge.rules.fault import EvaluationMeter, EvaluationStopped, RuleFaultCause

Value = Any  # what JSON holds

LARGEST: Final = 2**53  # a whole number beyond this is not kept exactly by every JSON reader
_NUMERAL: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)?\s*", re.ASCII)
_LONGEST_NUMERAL: Final = 64
_CHARACTERS_A_STEP: Final = 16


def is_number(value: Value) -> bool:
    """Return whether ``value`` is a number; a boolean is not."""
    return type(value) is int or type(value) is float


def finite(value: int | float) -> int | float:
    """Return ``value``, whole where it can be. Raises EvaluationStopped beyond the range."""
    if type(value) is float:
        if not math.isfinite(value):
            raise EvaluationStopped(RuleFaultCause.NUMBER_RANGE, "not a finite number")
        if value.is_integer():
            value = int(value)
    if abs(value) > LARGEST:
        raise EvaluationStopped(RuleFaultCause.NUMBER_RANGE, "beyond 2**53")
    return value


def to_number(value: Value) -> int | float | None:
    """Return the number that ``value`` stands for (ToNumber), or None where JavaScript has NaN."""
    if value is None or value is False:
        return 0
    if value is True:
        return 1
    if is_number(value):
        return None if type(value) is float and math.isnan(value) else finite(value)
    if type(value) is str:
        return _numeral(value)
    if type(value) is list and len(value) < 2:
        return (
            to_number(value[0]) if value and type(value[0]) is not list else (None if value else 0)
        )
    return None


def _numeral(text: str) -> int | float | None:
    if len(text) > _LONGEST_NUMERAL:
        return None
    found = _NUMERAL.fullmatch(text)
    if found is None:
        return None
    numeral = found[1]
    if numeral is None:
        return 0
    return finite(int(numeral) if numeral.lstrip("+-").isdecimal() else float(numeral))


def needed_number(value: Value) -> int | float:
    """Return ``to_number(value)``. Raises EvaluationStopped if there is none."""
    number = to_number(value)
    if number is None:
        raise EvaluationStopped(RuleFaultCause.ARGUMENTS, "not a number")
    return number


def to_text(value: Value, meter: EvaluationMeter) -> str:
    """Return ``value`` as text (ToString); only what holds no other value has one."""
    if value is None:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is str:
        meter.spend(len(value) // _CHARACTERS_A_STEP)
        return value
    if is_number(value):
        return str(finite(value))
    raise EvaluationStopped(RuleFaultCause.ARGUMENTS, "a list or an object is not a text")


def loosely_equal(left: Value, right: Value) -> bool:
    """Compare as JavaScript's ``==`` (IsLooselyEqual). Lists or objects are never equal."""
    if type(left) is type(right) or (is_number(left) and is_number(right)):
        return strictly_equal(left, right)
    if left is None or right is None:
        return False
    if type(left) is dict or type(right) is dict:
        return False
    one, other = to_number(left), to_number(right)
    return one is not None and one == other


def strictly_equal(left: Value, right: Value) -> bool:
    """Compare as JavaScript's ``===`` (IsStrictlyEqual). Lists or objects are never equal."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right) or type(left) in (list, dict):
        return False
    return bool(left == right)


def less(left: Value, right: Value, *, or_equal: bool) -> bool:
    """Compare as JavaScript's ``<`` and ``<=``: two texts by characters, all else by number."""
    if type(left) is str and type(right) is str:
        return left <= right if or_equal else left < right
    one, other = to_number(left), to_number(right)
    if one is None or other is None:
        return False
    return one <= other if or_equal else one < other


def look_up(data: Value, path: Value, meter: EvaluationMeter) -> tuple[bool, Value]:
    """Follow a dotted path into ``data``: whether something is there, and what."""
    if path is None or path == "":
        return True, data
    for name in to_text(path, meter).split("."):
        meter.spend(1)
        if type(data) is dict and name in data:
            data = data[name]
        elif (
            type(data) is list
            and name.isdecimal()
            and name.isascii()
            and len(name) < 10
            and int(name) < len(data)
        ):
            data = data[int(name)]
        else:
            return False, None
    return True, data
