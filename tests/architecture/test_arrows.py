"""Hold the house to the tables of docs/architecture.md, and to the rules beside them."""

import ast
import re

import pytest

from tests.architecture.house import (
    HOUSES,
    PACKAGES,
    circles,
    impurities,
    judge_room,
    pure_rooms,
    read_house,
    read_table,
    sql_in,
)
from tests.support.paths import DOCS, ROOT

HOUSE = read_house(PACKAGES)
PAGE = (DOCS / "architecture.md").read_text(encoding="utf-8")
TABLE = read_table(PAGE)
PURE = (
    "edge/values",
    "edge/rules",
    "edge/encryption",
    "edge/config",
    "edge/token",
    "edge/domain",
    "edge/documents",
    "sync/wire",
)
HARDWARE = {"picamera2", "libcamera", "gpiozero", "lgpio", "serial", "evdev"}
ADAPTERS = {  # modules that stand for one real part each
    "edge.capture.hid_engine",
    "edge.capture.image_folder",
    "edge.capture.opencv",
    "edge.capture.picamera",
    "edge.capture.serial_engine",
    "edge.devices.gpio_door",
    "edge.devices.gpio_indicator",
    "edge.devices.gpio_lock",
    "edge.devices.gpio_trigger",
    "edge.devices.kr_cu16",
    "edge.devices.lock_board",
    "edge.devices.null_devices",
    "edge.devices.pin_factory",
    "edge.devices.serial_line",
}
# Of sync/fleet, which is no house: its folders are parts of one command line.
LOOSE_IN_FLEET = {
    "cli",
    "device_table",
    "fleet_file",
    "hub_client",
    "key_folder",
    "options",
    "qr_picture",
}


def modules_in(*packages):
    return [module for module in HOUSE.modules.values() if module.name.split(".")[0] in packages]


@pytest.mark.parametrize("room", sorted(set(HOUSE.rooms) | set(TABLE)))
def test_a_room_imports_what_its_row_says_and_nothing_else(room):
    assert judge_room(HOUSE, TABLE, room) == []


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_holds_only_pure_modules(room):
    assert room in HOUSE.rooms
    assert impurities(HOUSE, room) == []


def test_the_page_calls_pure_what_is_tested_to_be():
    assert pure_rooms(PAGE) == set(PURE)


@pytest.mark.parametrize("house", HOUSES)
def test_no_folders_import_each_other_in_a_circle(house):
    assert HOUSE.graph(house)
    assert circles(HOUSE.graph(house)) == []
    assert circles(HOUSE.folders(house)) == []


def test_no_row_lets_edge_know_sync_or_the_product_its_simulator():
    rows = [(room, target) for room, targets in TABLE.items() for target in targets]
    assert {target.split("/")[0] for room, target in rows if room.startswith("edge/")} == {"edge"}
    assert {target.split("/")[0] for room, target in rows if room.startswith("sync/")} == {
        "edge",
        "sync",
    }


def test_paho_is_imported_in_one_module():
    found = {
        module.name
        for module in HOUSE.modules.values()
        for one in module.imports
        if one.target.split(".")[0] == "paho"
    }
    assert found == {"sync.mqtt.connection"}


def test_hardware_libraries_are_imported_in_adapters_when_they_are_needed():
    found = {
        (module.name, one.lazy)
        for module in modules_in("edge", "sync")
        for one in module.imports
        if one.target.split(".")[0] in HARDWARE
    }
    assert {name for name, lazy in found if not lazy} == set(), "imported at the top of a module"
    assert {name for name, _ in found} <= ADAPTERS


def test_concrete_adapters_are_named_only_in_bootstrap():
    assert set(HOUSE.modules) >= ADAPTERS
    rooms = ("edge.bootstrap.", "edge.capture.", "edge.devices.")
    named = {
        f"{module.name}:{one.line} names {one.target}"
        for module in modules_in("edge", "sync")
        for one in module.imports
        if one.target in ADAPTERS and not module.name.startswith(rooms)
    }
    assert named == set()


def test_the_adapters_are_those_that_a_device_has():
    """Compare the modules that import a hardware library with those that bootstrap chooses from."""
    chosen = {
        one.target
        for one in HOUSE.modules["edge.bootstrap.hardware_assembly"].imports
        if one.target.startswith(("edge.capture.", "edge.devices."))
    }
    assert chosen - ADAPTERS == {
        "edge.capture.camera_worker",
        "edge.capture.scan_engine",
    }  # threads


def test_sql_stands_only_in_the_stores():
    stores = ("edge.store", "sync.hub.store", "sync.register")
    found = {
        module.name
        for module in HOUSE.modules.values()
        if sql_in(module) and not module.name.startswith(stores)
    }
    assert found == set(), "move it to the store"


def test_no_module_lies_loose_in_the_fleet_but_those_of_the_plan():
    loose = {
        name.rsplit(".", 1)[1]
        for name, module in HOUSE.modules.items()
        if re.fullmatch(r"sync\.fleet\.\w+", name) and not module.is_package
    }
    assert loose == LOOSE_IN_FLEET


@pytest.mark.parametrize(
    "package", [name for name, module in HOUSE.modules.items() if module.is_package]
)
def test_a_folder_says_in_one_sentence_what_it_is(package):
    sentence = ast.get_docstring(HOUSE.modules[package].tree) or ""
    assert re.fullmatch(r"[^\n]+\.", sentence), sentence
    assert not re.search(r"\. [A-Z]", sentence), sentence


@pytest.mark.parametrize("package", ["edge", "sync", "sync.hub", "hardware_sim"])
def test_a_house_has_no_code_at_its_door(package):
    """What its ``__init__`` imported, every room would import."""
    assert len(HOUSE.modules[package].tree.body) == 1


TESTS = sorted((ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_no_test_is_imported(path):
    """What two tests need stands in tests/support."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in modules if re.search(r"^tests\..*\btest_\w+$", name)]


UNIT_TESTS = [path for path in TESTS if "unit" in path.parts]


@pytest.mark.parametrize(
    "path", UNIT_TESTS, ids=lambda path: str(path.relative_to(ROOT / "tests" / "unit"))
)
def test_a_unit_test_waits_for_no_clock_and_starts_no_broker(path):
    """A test with real threads, processes or brokers is a scenario or a contract test."""
    source = path.read_text(encoding="utf-8")
    waits = re.findall(r"\btime\.sleep\(|\buntil\(|tests\.support\.broker\b", source)
    assert not waits
