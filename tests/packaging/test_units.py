"""The units are valid and sandboxed, and start without a network or a correct clock."""

import configparser
import json
import os
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from edge.cli import COMMANDS
from tests.support.paths import ROOT

UNITS = sorted((ROOT / "systemd").glob("*.service"))
# With those that an administrator copies.
SERVICES = [*UNITS, *sorted((ROOT / "firmware-config").rglob("*.service"))]
SCANNER_DEVICES = (
    "gpiochip",
    "media",
    "video4linux",
    "dma_heap",
    "ttyACM",
    "ttyUSB",
    "ttyAMA",
    "input",
)
UNIT_KINDS = {".service", ".socket", ".timer", ".target", ".path", ".mount"}
NOT_OURS = {".venv", "build"}
EXPOSURE_TENTHS = 15  # systemd-analyze security: 1.5 of 10

each_unit = pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
each_service = pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze")
    and "CI" not in os.environ,  # where it is missing in CI, that is a failure
    reason="needs systemd-analyze (Debian package systemd)",
)


class _Unit(configparser.RawConfigParser):
    """A unit file: keys may repeat, and keep their case."""

    def __init__(self, path: Path):
        super().__init__(
            strict=False, delimiters=("=",), comment_prefixes=("#",), interpolation=None
        )
        self.text = path.read_text(encoding="utf-8")
        self.read_string(self.text)

    def optionxform(self, optionstr: str) -> str:
        return optionstr

    def values(self, key: str) -> list[str]:
        return re.findall(rf"^{key}=(.*)$", self.text, flags=re.MULTILINE)


def test_every_unit_of_the_repository_is_tested():
    found = {
        path
        for path in ROOT.rglob("*")
        if path.suffix in UNIT_KINDS and not set(path.parts) & NOT_OURS
    }
    assert found == set(SERVICES)


def test_each_service_has_a_unit():
    hub = {"edge-hub", "edge-hub-enrolment", "edge-hub-authority", "edge-hub-bridge"}
    assert {path.stem for path in UNITS} == {"edge-scanner", "edge-sync", *hub}


@needs_systemd
@each_service
def test_a_units_exposure_is_at_most_one_and_a_half(path):
    run = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            f"--threshold={EXPOSURE_TENTHS}",
            "--json=short",
            path,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [item["description"] for item in json.loads(run.stdout) if item["set"] is False]
    assert run.returncode == 0, "\n".join(found)


@needs_systemd
@each_service
def test_systemd_accepts_every_line_of_a_unit(path, tmp_path):
    installed = re.sub(
        r"^(Exec\w+)=\S+", r"\1=/bin/true", path.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    (tmp_path / path.name).write_text(installed, encoding="utf-8")
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / path.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert path.stem not in run.stderr, run.stderr


@each_unit
def test_no_unit_waits_for_the_network_or_the_clock(path):
    unit = _Unit(path)
    ordered = " ".join(
        unit.get("Unit", key, fallback="") for key in ("After", "Requires", "Wants", "BindsTo")
    )
    assert not re.search(r"network|time-sync|time-set|chrony|ntp|nss-lookup", ordered)
    assert unit.get("Unit", "DefaultDependencies", fallback="yes") == "yes"


def test_no_unit_waits_for_the_unit_that_waits_for_the_time():
    waiter = _Unit(ROOT / "firmware-config" / "os" / "edge-chrony-flag.service")
    assert waiter.values("Type") == ["exec"], "it counts as started at once"
    assert not waiter.values("Before")
    assert not [path for path in UNITS if "edge-chrony-flag" in path.read_text(encoding="utf-8")]


@each_unit
def test_every_unit_has_a_watchdog_and_is_always_restarted(path):
    unit = _Unit(path)
    assert unit.get("Service", "Type") == "notify"
    assert int(unit.get("Service", "WatchdogSec")) > 0
    assert unit.get("Service", "Restart") == "always"
    assert unit.get("Unit", "StartLimitIntervalSec") == "0"


def test_two_independent_settings_deny_the_scanner_a_network():
    unit = _Unit(ROOT / "systemd" / "edge-scanner.service")
    assert unit.values("PrivateNetwork") == ["yes"]
    assert unit.values("RestrictAddressFamilies") == ["AF_UNIX AF_NETLINK"]


def test_only_the_scanner_may_touch_devices():
    nodes = {
        path.stem: {value.split()[0] for value in _Unit(path).values("DeviceAllow")}
        for path in UNITS
    }
    assert nodes.pop("edge-scanner") == {f"char-{name}" for name in SCANNER_DEVICES}
    assert not any(nodes.values())


def test_the_locks_are_released_however_the_scanner_ended():
    assert _Unit(ROOT / "systemd" / "edge-scanner.service").values("ExecStopPost") == [
        "/usr/lib/edge-scanner/bin/python3 -I -m edge.bootstrap.release_locks"
        " --profile /etc/edge-scanner/profile.toml"
    ]


@pytest.mark.parametrize(
    ("unit", "target"),
    [
        ("edge-scanner", COMMANDS["run"]),
        ("edge-sync", "sync.agent.cli:main"),
        ("edge-hub", "sync.hub.cli:main"),
        ("edge-hub-enrolment", "sync.hub.enrolment.cli:enrolment"),
        ("edge-hub-authority", "sync.hub.site.cli:run"),
        ("edge-hub-bridge", "sync.hub.site.bridge_cli:bridge"),
        ("edge-scanner ExecStopPost", "edge.bootstrap.release_locks:__name__"),
    ],
)
def test_a_unit_executes_an_existing_command(unit, target):
    name, _, key = unit.partition(" ")
    (line,) = _Unit(ROOT / "systemd" / f"{name}.service").values(key or "ExecStart")
    module, _, attribute = target.partition(":")
    assert hasattr(import_module(module), attribute)
    source = Path(import_module(module).__file__).read_text(encoding="utf-8")
    for option in re.findall(r" (--\w+)", line):
        assert f'"{option}"' in source, f"{module} has no {option}"
