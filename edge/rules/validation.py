"""What is wrong with an expression before any data is seen."""

from __future__ import annotations

import json
from dataclasses import dataclass

from edge.rules.evaluation import DEFAULT
from edge.rules.json_logic import OPERATORS
from edge.rules.json_values import Value


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong, and the part of the expression that it is about."""

    part: Value
    message: str


def validate(logic: Value, *, depth: int = DEFAULT.depth) -> list[Issue]:
    """Return what is wrong with ``logic``; nothing for what can be evaluated. Never raises."""
    if depth < 0:
        return [Issue(None, f"more than {DEFAULT.depth} levels")]
    if type(logic) is list:
        return [issue for item in logic for issue in validate(item, depth=depth - 1)]
    if type(logic) is not dict or len(logic) != 1:
        return []
    ((name, arguments),) = logic.items()
    if name not in OPERATORS:
        return [Issue(logic, f"unrecognised operator: {json.dumps(name, ensure_ascii=False)}")]
    return validate(arguments, depth=depth - 1)
