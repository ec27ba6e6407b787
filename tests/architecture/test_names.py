"""Hold every public class and module to one meaning a name, over edge, sync and the simulator."""

import ast
from collections import defaultdict

import pytest

from tests.architecture.house import PACKAGES

# Bare module names that stand more than once, each with its reason.
SHARED_MODULE_NAMES = {
    "__init__": "Python's own name for a package",
    "actions": "what operators do, and the commands that do it",
    "cli": "the command line of each program, in the program's own room",
    "config": "a program's configuration, and the command that shows the device's",
    "keys": "signing keys, and the command that makes them",
    "lock_board": "the adapter of a lock board, and its simulated other end",
    "locker": "the locker's section of a profile, and the simulated locker",
    "migration": "the same mechanism for the device's store and for the hub's",
    "opening": "opening the device's store, and the hub's",
    "reviews": "a review's rows at the device, its ledger at the hub, the command that decides",
    "trust_list": "the trust list, and the command that builds it",
}


def _places():
    modules, classes = defaultdict(set), defaultdict(set)
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            where = f"{package}/{path.relative_to(folder).with_suffix('')}"
            modules[path.stem].add(where)
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    classes[node.name].add(where)
    return modules, classes


MODULES, CLASSES = _places()


def shared(names, exceptions=()):
    """Return the names with several places that no exception covers."""
    return {
        name: sorted(places)
        for name, places in names.items()
        if len(places) > 1 and name not in exceptions
    }


def test_no_public_class_name_has_two_meanings():
    assert shared(CLASSES) == {}


def test_no_module_name_has_two_meanings():
    assert shared(MODULES, SHARED_MODULE_NAMES) == {}


@pytest.mark.parametrize("name", sorted(SHARED_MODULE_NAMES))
def test_each_exception_is_still_needed(name):
    assert len(MODULES[name]) > 1


def test_a_second_place_is_seen():
    assert shared({"Queue": {"a", "b"}, "Lock": {"c"}}) == {"Queue": ["a", "b"]}
