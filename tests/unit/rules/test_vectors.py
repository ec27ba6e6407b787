"""The public test suite of JSON Logic, every case of it."""

import json

from edge.rules.evaluation import evaluate
from tests.support.shared_data import shared_json


def text(value):
    """Return the same text for equal JSON values, whether 2 is written 2 or 2.0."""
    return json.dumps(value, sort_keys=True, default=repr).replace(".0,", ",").removesuffix(".0")


def test_every_case_of_json_logics_suite_holds():
    cases = [
        case for case in shared_json("vectors", "jsonlogic", "tests.json") if isinstance(case, list)
    ]
    assert len(cases) == 275
    wrong = [
        (logic, data, expected, found)
        for logic, data, expected in cases
        if text(found := evaluate(logic, data)) != text(expected)
    ]
    assert wrong == []
