"""What the trial scripts import exists: the scripts run for minutes before they reach it."""

import re
from importlib import import_module

import pytest

from tests.support.paths import ROOT

IMPORT = re.compile(r"from ((?:edge|sync)[\w.]*) import ([\w, ]+)")
IMPORTS = [
    pytest.param(module, name.strip(), id=f"{path.name}: {name.strip()}")
    for path in sorted((ROOT / "packaging").iterdir())
    if path.is_file()
    for module, names in IMPORT.findall(path.read_text(encoding="utf-8"))
    for name in names.split(",")
]


def test_there_are_imports():
    assert IMPORTS


@pytest.mark.parametrize(("module", "name"), IMPORTS)
def test_what_a_script_imports_exists(module, name):
    assert hasattr(import_module(module), name)
