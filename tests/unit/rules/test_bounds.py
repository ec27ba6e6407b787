"""Whatever the expression and the data: an answer, the same each time, within its limits."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.rules import json_logic
from edge.rules.evaluation import evaluate
from edge.rules.fault import EvaluationLimits, RuleFault, RuleFaultCause
from edge.rules.rule import RuleFailure, first_failure, parse_rules
from edge.rules.validation import validate

WORDS = [
    "",
    "a",
    "0",
    "1.5",
    "a.0",
    "current",
    "accumulator",
    "day",
    "2026-02-29",
    "2024-02-29T25:00:00Z",
    "9" * 70,
    "2024-02-29T23:59:59.5+14:00",
    "2024",
]
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
    | st.integers(-(10**400), 10**400)
)
names = st.sampled_from(sorted({*json_logic.OPERATORS, "launch"}))


def expressions(deeper):
    return (
        st.lists(deeper, max_size=4)
        | st.dictionaries(names, st.lists(deeper, max_size=4), min_size=1, max_size=1)
        | st.dictionaries(names, deeper, max_size=2)
        | st.dictionaries(st.sampled_from(WORDS), deeper, max_size=3)
    )


anything = st.recursive(leaves, expressions, max_leaves=25)


@settings(max_examples=400, deadline=None)
@given(anything, anything)
def test_it_never_raises_and_says_the_same_again(logic, data):
    before = repr((logic, data))
    first = evaluate(logic, data)
    assert repr(evaluate(logic, data)) == repr(first)
    assert repr((logic, data)) == before, "neither the rule nor the facts are changed"
    assert isinstance(validate(logic), list)


@settings(max_examples=200, deadline=None)
@given(st.text() | anything.map(lambda value: json.dumps([{"id": "a", "logic": value}])), anything)
def test_any_text_of_rules_is_met_or_has_a_failure(text, data):
    rules = parse_rules(text)
    outcome = rules if isinstance(rules, RuleFailure) else first_failure(rules, data)
    assert outcome is None or (
        isinstance(outcome, RuleFailure) and outcome.fault.cause in RuleFaultCause
    )


@settings(max_examples=100, deadline=None)
@given(anything, anything, st.integers(0, 40))
def test_fewer_steps_give_the_same_answer_or_none(logic, data, steps):
    whole = evaluate(logic, data)
    cut = evaluate(logic, data, limits=EvaluationLimits(steps=steps))
    assert repr(cut) == repr(whole) or cut.cause is RuleFaultCause.TOO_MANY_STEPS


def nested(depth):
    logic = True
    for _ in range(depth):
        logic = {"!": [logic]}
    return logic


def test_depth_is_bounded():
    assert evaluate(nested(32), {}) is True
    assert evaluate(nested(33), {}).cause is RuleFaultCause.TOO_DEEP
    assert evaluate(nested(5000), {}).cause is RuleFaultCause.TOO_DEEP
    assert evaluate(nested(200), {}, limits=EvaluationLimits(depth=10**9)) is True
    assert (
        evaluate(nested(90_000), {}, limits=EvaluationLimits(depth=10**9, steps=10**9)).cause
        is RuleFaultCause.TOO_DEEP
    )
    assert validate(nested(90_000))[0].message == "more than 32 levels"


TEN = list(range(10))
GROWING = {
    "reduce": [TEN * 10, {"cat": [{"var": "accumulator"}, {"var": "accumulator"}]}, "x" * 16]
}
BOMBS = {
    "loops in loops": {
        "map": [TEN, {"map": [TEN, {"map": [TEN, {"map": [TEN, {"map": [TEN, 1]}]}]}]}]
    },
    "a text that doubles": GROWING,
    "a list that doubles": {
        "reduce": [TEN * 10, {"merge": [{"var": "accumulator"}, {"var": "accumulator"}]}, [1]]
    },
    "a long search": {"map": [TEN * 90, {"in": ["y", {"var": "x"}]}]},
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_runs_out_of_steps_long_before_it_matters(bomb):
    began_s = time.process_time()
    found = evaluate(bomb, {"x": "x" * 100_000})
    assert isinstance(found, RuleFault) or bomb is BOMBS["a long search"]
    assert time.process_time() - began_s < 2, "a bound on work, not a measure of speed"


def test_a_number_that_grows_leaves_the_range():
    squares = {"reduce": [TEN * 10, {"*": [{"var": "accumulator"}, {"var": "accumulator"}]}, 3]}
    assert evaluate(squares, {}).cause is RuleFaultCause.NUMBER_RANGE
    assert evaluate({"/": [1, 0]}, {}).cause is RuleFaultCause.NUMBER_RANGE
    assert evaluate({"%": [1, 0]}, {}).cause is RuleFaultCause.NUMBER_RANGE


def test_rules_share_their_steps():
    rule = {"logic": {"all": [{"var": "x"}, {">=": [{"var": ""}, 0]}]}}
    rules = parse_rules(json.dumps([{**rule, "id": str(number)} for number in range(16)]))
    failure = first_failure(rules, {"x": TEN * 30})
    assert failure.fault.cause is RuleFaultCause.TOO_MANY_STEPS
    assert int(failure.rule_id) > 1
    assert first_failure(rules, {"x": TEN}) is None
