"""Hold every function to ADR 0005: a text is never the error beside another result."""

import ast

import pytest

from tests.architecture.house import PACKAGES

# Functions whose return type joins a text with another class, each with its reason.
TEXT_IS_A_VALUE = {
    "edge/capture/image_folder.natural_order": "a part of a file's name, for sorting",
    "edge/token/cbor._key": "the key of a map, in one of CBOR's three types",
}
_NO_CLASS = {"str", "None"}


def _members(node):
    """Return the names of the types that a union joins."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _members(node.left) + _members(node.right)
    return [ast.unparse(node)]


def joins_text_and_class(annotation):
    """Return whether a union anywhere in ``annotation`` has ``str`` and another class."""
    unions = (set(_members(node)) for node in ast.walk(annotation) if isinstance(node, ast.BinOp))
    return any("str" in names and names - _NO_CLASS for names in unions)


def _functions():
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            where = f"{package}/{path.relative_to(folder).with_suffix('')}"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
                    yield f"{where}.{node.name}", node.returns


FOUND = {name for name, returns in _functions() if joins_text_and_class(returns)}


def test_no_function_returns_a_result_or_the_text_of_an_error():
    assert FOUND - set(TEXT_IS_A_VALUE) == set()


@pytest.mark.parametrize("name", sorted(TEXT_IS_A_VALUE))
def test_each_exception_is_still_needed(name):
    assert name in FOUND


@pytest.mark.parametrize(
    ("annotation", "wrong"),
    [
        ("Roots | str", True),
        ("None | str | Roots", True),
        ("tuple[dict[str, Any] | str, int]", True),
        ("str | None", False),
        ("Roots | RootsFileRefusal", False),
        ("dict[str, Any] | ConfigError", False),
    ],
)
def test_a_text_beside_a_class_is_seen(annotation, wrong):
    assert joins_text_and_class(ast.parse(annotation, mode="eval").body) is wrong
