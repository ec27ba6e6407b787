"""The public test suites of both dialects, every case of them."""

import json

from edge.rules.evaluation import Dialect, evaluate
from tests.support.shared_data import shared_data, shared_json


def text(value):
    """What two equal JSON values share, whether 2 is written 2 or 2.0."""
    return json.dumps(value, sort_keys=True, default=repr).replace(".0,", ",").removesuffix(".0")


def certlogic_assertions():
    for path in sorted(shared_data("vectors", "certlogic", "testSuite").glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            for said in case["assertions"]:
                logic = case.get("certLogicExpression", said.get("certLogicExpression"))
                yield f"{path.stem}: {case['name']}", logic, said["data"], said["expected"]


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


def test_every_assertion_of_certlogics_suite_holds():
    assertions = list(certlogic_assertions())
    assert len(assertions) == 232
    wrong = [
        (name, logic, data, expected, found)
        for name, logic, data, expected in assertions
        if text(found := evaluate(logic, data, dialect=Dialect.CERT_LOGIC)) != text(expected)
    ]
    assert wrong == []
