"""The tables of the pages are complete: a row for each enumeration value, a cell for each right."""

import re

import pytest

from edge.domain.authorisation import AuthorisationResult
from edge.domain.decision_input import Risk
from edge.domain.entitlement import OrderStatus
from edge.domain.exception_case import ExceptionKind, Settlement
from edge.domain.roles import PERMISSIONS, Role, StaffAction
from edge.domain.verdict import Verdict
from edge.rules.fault import RuleFaultCause
from edge.settings.state_machine import SettingsPhase
from edge.token.purpose import Purpose
from edge.token.rejection import Rejection
from tests.support.paths import DOCS

TABLES = {
    "reference/verdicts.md": (Verdict, Risk, OrderStatus),
    "reference/verification.md": (Rejection,),
    "reference/rules.md": (RuleFaultCause,),
    "reference/signed-lists.md": (Purpose,),
    "how-to/settle-exceptions.md": (ExceptionKind, Settlement),
    "explanation/authorisations.md": (AuthorisationResult,),
}


def read(page):
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", TABLES)
def test_each_value_is_on_the_page(page):
    text = read(page)
    missing = [value for values in TABLES[page] for value in values if f"`{value}`" not in text]
    assert missing == []


def test_each_phase_of_settings_is_in_the_diagram():
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", read("explanation/settings.md"), re.DOTALL)
    assert set(re.findall(r"[a-z_]+(?= -->)|(?<=--> )[a-z_]+", diagram)) == set(SettingsPhase)


def test_the_rights_of_each_role_are_the_tables():
    rows = [line for line in read("reference/operators.md").splitlines() if line.startswith("| ")]
    cells = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows]
    (head,) = [row for row in cells if row[0] == "role"]
    assert head[1:] == list(StaffAction)
    rights = {
        row[0]: {act for act, cell in zip(head[1:], row[1:], strict=True) if cell == "yes"}
        for row in cells
        if row[0] in set(Role)
    }
    assert rights == {role: set(acts) for role, acts in PERMISSIONS.items()}
