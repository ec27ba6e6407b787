"""The arrows of the house, read off the syntax tree (docs/architecture.md)."""

import ast

import pytest

from tests.support.paths import ROOT

PACKAGES = {
    "edge": ROOT / "edge",
    "sync": ROOT / "sync",
    "hardware_sim": ROOT / "hardware-sim" / "hardware_sim",
}
HARDWARE = {"picamera2", "libcamera", "gpiozero", "lgpio", "serial", "evdev"}
EFFECTS = {
    "asyncio", "click", "datetime", "fcntl", "http", "io", "logging", "os", "pathlib", "queue", "random", "secrets",
    "select", "shutil", "signal", "socket", "sqlite3", "sqlite_utils", "ssl", "structlog", "subprocess", "tempfile",
    "threading", "time", "urllib", "uuid", "paho", "cv2",
}  # fmt: skip
EFFECTFUL_BUILTINS = {"open", "print", "input"}
PURE = (
    "sync.wire.messages",
    "sync.agent.response_timer",
    "edge.token",
    "edge.domain.decision",
    "edge.domain.verdict",
    "edge.domain.entitlement",
    "edge.values.instant",
    "edge.config",
    "edge.rules",
    "edge.domain.roles",
    "edge.domain.decision_input",
    "edge.domain.offline_authority",
    "edge.domain.pickup_continuation",
    "edge.pickup.door_states",
    "edge.domain.standing",
    "edge.domain.decision_facts",
    "edge.values.person_name",
    "sync.wire.codec",
)


def every_module():
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *(part for part in parts if part != "__init__")))
            yield pytest.param(name, ast.parse(path.read_text(encoding="utf-8")), id=name)


MODULES = list(every_module())


def imports(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.col_offset) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module, node.col_offset


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


@pytest.mark.parametrize(("name", "tree"), MODULES)
def test_edge_knows_neither_sync_nor_the_simulator(name, tree):
    if within(name, "edge"):
        strangers = {
            target
            for target, _ in imports(tree)
            if target.split(".")[0] in {"sync", "hardware_sim", "paho"}
        }
        assert not strangers


@pytest.mark.parametrize(("name", "tree"), MODULES)
def test_sync_reaches_only_the_store_the_token_and_the_shared_nouns(name, tree):
    if within(name, "sync"):
        rooms = ("edge.capture", "edge.decode", "edge.devices", "edge.display", "edge.scanner.daemon", "edge.bootstrap",
                 "edge.redemption.redeemer", "edge.pickup.pickups")  # fmt: skip
        strangers = {
            target for target, _ in imports(tree) for room in rooms if within(target, room)
        }
        assert not strangers
        assert not any(target.split(".")[0] == "hardware_sim" for target, _ in imports(tree))


@pytest.mark.parametrize(("name", "tree"), MODULES)
def test_paho_is_imported_in_one_module(name, tree):
    if any(target.split(".")[0] == "paho" for target, _ in imports(tree)):
        assert name == "sync.mqtt.connection"


@pytest.mark.parametrize(("name", "tree"), MODULES)
def test_pure_rooms_have_no_effects(name, tree):
    if any(within(name, room) for room in PURE):
        assert not {target for target, _ in imports(tree) if target.split(".")[0] in EFFECTS}
        calls = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & EFFECTFUL_BUILTINS


@pytest.mark.parametrize(("name", "tree"), MODULES)
def test_hardware_libraries_are_imported_lazily_in_adapters(name, tree):
    for target, column in imports(tree):
        if target.split(".")[0] in HARDWARE and not within(name, "hardware_sim"):
            assert within(name, "edge.capture") or within(name, "edge.devices"), target
            assert column > 0, f"{target} is imported at the top of {name}"


@pytest.mark.parametrize(("name", "tree"), MODULES)
def test_concrete_adapters_are_named_only_in_bootstrap(name, tree):
    adapters = ("edge.capture.picamera", "edge.capture.opencv", "edge.devices.gpio")
    if (
        within(name, "edge")
        and not within(name, "edge.bootstrap")
        and not within(name, "edge.capture")
    ):
        named = {target for target, _ in imports(tree) if target in adapters}
        assert not named or within(name, "edge.devices")
