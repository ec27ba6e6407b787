"""``edge-scanner rules check``."""

import json

import pytest
from click.testing import CliRunner

from edge.cli import cli
from tests.support.paths import FIRMWARE

FOLDER = FIRMWARE / "rules"


def check(*arguments):
    result = CliRunner().invoke(cli, ["rules", "check", *(str(argument) for argument in arguments)])
    assert "Traceback" not in result.output
    return result


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_the_examples_are_valid(path):
    assert check(path).exit_code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "rules: malformed: not JSON"),
        (
            '[{"id": "a", "logic": {"and": [{"launch": 1}]}}]',
            'rule a: unrecognised operator: "launch" in {"launch": 1}',
        ),
        (
            '[{"id": "a", "dialect": "jsonlogic", "logic": true}]',
            "an id and logic, and nothing else",
        ),
    ],
)
def test_an_error_has_the_rules_id(tmp_path, text, message):
    (tmp_path / "rules.json").write_text(text)
    result = check(tmp_path / "rules.json")
    assert result.exit_code == 1
    assert message in result.stderr


@pytest.mark.parametrize(("today", "exit_code"), [(1, 0), (2, 1)])
def test_rules_can_be_evaluated_on_a_document(tmp_path, today, exit_code):
    (tmp_path / "scan.json").write_text(json.dumps({"uses": {"today": today}}))
    result = check(FOLDER / "uses-a-day.json", "--data", tmp_path / "scan.json")
    assert result.exit_code == exit_code
    assert ("rule uses-a-day: not_met" in result.stderr) is bool(exit_code)
