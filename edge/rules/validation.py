"""What is wrong with an expression before any data is seen. CertLogic's messages are those of its validation tests."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from edge.rules import cert_logic, json_logic
from edge.rules.datetimes import UNITS
from edge.rules.evaluation import DEFAULT, Dialect
from edge.rules.json_values import Value

_PATH: Final = re.compile(r"(?:[^.]+(?:\.[^.]+)*)?")
_TRIPLES: Final = frozenset({"<", ">", "<=", ">=", "after", "before", "not-after", "not-before"})
_COUNTS: Final = {"if": 3, "reduce": 3, "plusTime": 3, "extractFromUVCI": 2}


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong, and the part of the expression that it is about."""

    part: Value
    message: str


def validate(
    logic: Value, dialect: Dialect = Dialect.JSON_LOGIC, *, depth: int = DEFAULT.depth
) -> list[Issue]:
    """Return what is wrong with ``logic``; nothing for what can be evaluated. Never raises."""
    if depth < 0:
        return [Issue(None, f"more than {DEFAULT.depth} levels")]
    if type(logic) is list:
        return [issue for item in logic for issue in validate(item, dialect, depth=depth - 1)]
    if dialect is Dialect.CERT_LOGIC:
        return _cert_logic(logic, depth)
    if type(logic) is not dict or len(logic) != 1:
        return []
    ((name, arguments),) = logic.items()
    if name not in json_logic.OPERATORS:
        return [Issue(logic, f"unrecognised operator: {json.dumps(name, ensure_ascii=False)}")]
    return validate(arguments, dialect, depth=depth - 1)


def _cert_logic(logic: Value, depth: int) -> list[Issue]:
    if type(logic) in (str, bool, int) or (type(logic) is float and logic.is_integer()):
        return []
    if type(logic) is float:
        return [Issue(logic, f"{logic} is a non-integer number")]
    if type(logic) is not dict:
        return [Issue(logic, "invalid CertLogic expression")]
    if len(logic) != 1:
        return [
            Issue(logic, f"expression object must have exactly one key, but it has {len(logic)}")
        ]
    ((name, arguments),) = logic.items()
    if name == "var":
        return _path(logic, arguments)
    if type(arguments) is not list:
        return [Issue(logic, 'operation not of the form { "<operator>": [ <values...> ] }')]
    if name not in cert_logic.OPERATORS:
        return [Issue(logic, f"unrecognised operator: {json.dumps(name, ensure_ascii=False)}")]
    parts = arguments[:1] if name in ("plusTime", "extractFromUVCI") else arguments
    below = validate(parts, Dialect.CERT_LOGIC, depth=depth - 1)
    return [Issue(logic, message) for message in _arguments(name, arguments)] + below


def _path(logic: Value, path: Value) -> list[Issue]:
    if type(path) is not str:
        return [Issue(logic, 'not of the form { "var": "<path>" }')]
    if not _PATH.fullmatch(path):
        return [Issue(logic, f"data access path doesn't have a valid format: {path}")]
    return []


def _arguments(name: str, arguments: list[Value]) -> list[str]:
    """What is wrong with the arguments of an operator, apart from what they are made of."""
    found, count = [], len(arguments)
    if name in _COUNTS and count != _COUNTS[name]:
        found.append(
            f'a "{name}"-operation must have exactly {_COUNTS[name]} values/operands, but it has {count}'
        )
    elif name == "and" and count < 2:
        found.append(f'an "and" operation must have at least 2 operands, but it has {count}')
    elif name in _TRIPLES and not 2 <= count <= 3:
        found.append(
            f'an operation with operator "{name}" must have 2 or 3 operands, but it has {count}'
        )
    elif name in ("===", "in", "+") and count != 2:
        found.append(
            f'an operation with operator "{name}" must have 2 operands, but it has {count}'
        )
    elif name in ("!", "dccDateOfBirth") and count != 1:
        found.append(
            f'an operation with operator "{name}" must have exactly 1 operand, but it has {count}'
        )
    if name in ("plusTime", "extractFromUVCI") and count > 1 and type(arguments[1]) is not int:
        found.append(f'argument #2 of "{name}" must be an integer')
    if name == "plusTime" and count > 2 and arguments[2] not in UNITS:
        found.append(f'argument #3 of "plusTime" must be one of {", ".join(UNITS)}')
    return found
