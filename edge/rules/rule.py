"""Rules as order feed and configuration carry them: ``[{"id": ..., "logic": ...}]`` in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from edge.rules.evaluation import DEFAULT, evaluate_on
from edge.rules.fault import EvaluationLimits, EvaluationMeter, RuleFault, RuleFaultCause
from edge.rules.json_values import Value

LONGEST_TEXT: Final = 16_384  # characters
MOST_RULES: Final = 16
LONGEST_ID: Final = 40
_KEYS: Final = frozenset({"id", "logic"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition: met when ``logic`` is exactly true on the data of a scan.

    ``edge.domain.rule_data`` makes the data.
    """

    id: str
    logic: Value


@dataclass(frozen=True, slots=True)
class RuleFailure:
    """The first rule that was not met. ``rule_id`` is empty if the list cannot be read."""

    rule_id: str
    fault: RuleFault

    def __str__(self) -> str:
        return f"rule {self.rule_id}: {self.fault}" if self.rule_id else f"rules: {self.fault}"


@lru_cache(maxsize=64)  # a campaign's vouchers carry the same text; the result is immutable
def parse_rules(text: str) -> tuple[Rule, ...] | RuleFailure:
    """Read a list of rules: all of it, or why not. Never raises."""
    listed = parse_logic(text)
    if isinstance(listed, RuleFault):
        return RuleFailure("", listed)
    if type(listed) is not list or len(listed) > MOST_RULES:
        return RuleFailure(
            "", RuleFault(RuleFaultCause.MALFORMED, f"not a list of at most {MOST_RULES} rules")
        )
    rules = []
    for item in listed:
        rule = _rule(item)
        if isinstance(rule, RuleFailure):
            return rule
        rules.append(rule)
    return tuple(rules)


@lru_cache(maxsize=64)
def parse_logic(text: str) -> Value | RuleFault:
    """Read one expression, as a configuration carries it. Never raises."""
    if len(text) > LONGEST_TEXT:
        return RuleFault(RuleFaultCause.TOO_LARGE, f"more than {LONGEST_TEXT} characters")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        return RuleFault(RuleFaultCause.MALFORMED, f"not JSON: {error}")


def first_failure(
    rules: Iterable[Rule], data: Value, limits: EvaluationLimits = DEFAULT
) -> RuleFailure | None:
    """Return the first of ``rules`` that is not met on ``data``. Never raises.

    ``limits`` bound all rules together.
    """
    meter = EvaluationMeter(limits)
    for rule in rules:
        value = evaluate_on(meter, rule.logic, data)
        if value is True:
            continue
        if not isinstance(value, RuleFault):
            value = RuleFault(
                RuleFaultCause.NOT_MET if value is False else RuleFaultCause.NOT_BOOLEAN
            )
        return RuleFailure(rule.id, value)
    return None


def _rule(item: Any) -> Rule | RuleFailure:
    if type(item) is not dict or item.keys() != _KEYS:
        return RuleFailure(
            "", RuleFault(RuleFaultCause.MALFORMED, "a rule has an id and logic, and nothing else")
        )
    name = item["id"]
    if type(name) is not str or not 1 <= len(name) <= LONGEST_ID or not name.isprintable():
        return RuleFailure(
            "",
            RuleFault(
                RuleFaultCause.MALFORMED, f"a rule's id is a text of 1 to {LONGEST_ID} characters"
            ),
        )
    return Rule(id=name, logic=item["logic"])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _constant(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")
