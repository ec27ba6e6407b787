"""Commands print through one module, so that no text of a device controls a terminal."""

import ast

import pytest

from tests.architecture.house import PACKAGES

# Modules that write to a terminal themselves, each with its reason.
OWN_OUTPUT = {
    "edge/system/terminal": "it is that module",
    "edge/system/program": "standard output may be closed",
    "sync/fleet/rollout/progress": "moves the cursor: a progress bar",
    "sync/protocol/__main__": "prints names of files alone",
}
PRINTS = {"echo", "secho", "print"}


def _modules():
    for package in ("edge", "sync"):
        folder = PACKAGES[package]
        for path in sorted(folder.rglob("*.py")):
            yield f"{package}/{path.relative_to(folder).with_suffix('')}", path


def prints(source: str) -> bool:
    """Return whether a module calls ``print``, ``click.echo`` or ``click.secho``."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = {call.id for call in calls if isinstance(call, ast.Name)}
    of_click = {
        call.attr
        for call in calls
        if isinstance(call, ast.Attribute) and ast.unparse(call.value) == "click"
    }
    return bool(named & {"print"} or of_click & PRINTS)


def test_only_one_module_prints():
    assert {name for name, path in _modules() if prints(path.read_text("utf-8"))} == set(OWN_OUTPUT)


@pytest.mark.parametrize("source", ["print(1)", "click.echo(x)", "click.secho(x, fg='red')"])
def test_a_module_that_prints_is_found(source):
    assert prints(source)
