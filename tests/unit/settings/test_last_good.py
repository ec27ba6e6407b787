"""With a profile that cannot be used, a device runs on the last one that could."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.config import parse_profile
from edge.settings.active_profile import ActiveProfile, keep_good, load_active_profile
from edge.settings.last_good import LAST_GOOD
from tests.support.settings_device import PROFILE, Device, document

GOOD = """[device]
id = "kiosk-1"
site = "shop-1"
kind = "locker"

[trust]
roots_file = "none.cbor"

[locker.compartments.A1]
lock_pin = 17
"""
WRONG = {
    "cut short": GOOD[:-6],
    "not TOML": "nonsense =",
    "a value that is none": GOOD.replace('"locker"', '"toaster"'),
    "empty": "",
    "not text": b"\xff\xfe",
    "gone": None,
}
each_wrong = pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())


@pytest.fixture
def file(tmp_path):
    """Return a profile that worked, of a device that has it as its last good one."""
    path = tmp_path / "profile.toml"
    path.write_text(GOOD)
    (tmp_path / "data").mkdir()
    keep_good(load_active_profile(path, tmp_path / "data"), tmp_path / "data")
    return path


def put(file: Path, content: str | bytes | None) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())


@each_wrong
def test_the_device_runs_on_the_profile_before_and_reports_what_is_wrong(file, content):
    put(file, content)
    running = load_active_profile(file, file.parent / "data")
    assert running.profile == parse_profile(GOOD)
    assert running.invalid.startswith(f"{file}: ")
    assert "correct it, then restart" in running.invalid
    assert running.baseline["device"]["id"] == "kiosk-1", "pushed settings are laid over the same"


@each_wrong
def test_without_a_profile_before_it_every_error_is_named(file, content):
    put(file, content)
    (file.parent / "data" / LAST_GOOD).unlink()
    assert isinstance(load_active_profile(file, file.parent / "data"), list)


def test_without_a_profile_before_it_settings_that_repair_it_are_run_on(tmp_path):
    device = Device(tmp_path)
    device.live(document(1, 50.0))
    (tmp_path / LAST_GOOD).unlink()
    device.file.write_text(PROFILE.replace("60.0", '"fast"'))
    running = load_active_profile(device.file, device.data)
    assert (running.profile.decode.budget_ms, running.problem) == (50.0, "")
    assert "decode.budget_ms" in running.invalid
    assert "correct it, then restart; until then the pushed settings" in running.invalid
    keep_good(running, device.data)
    assert not (tmp_path / LAST_GOOD).exists(), "by itself it cannot be used"


def test_settings_that_do_not_repair_it_leave_its_errors(tmp_path):
    device = Device(tmp_path)
    device.live(document(1, 50.0))
    (tmp_path / LAST_GOOD).unlink()
    device.file.write_text(PROFILE.replace('"kiosk"', '"toaster"'))
    (error,) = load_active_profile(device.file, device.data)
    assert error.path == "device.kind"


def test_a_profile_that_can_be_used_is_used_and_nothing_is_reported(file):
    file.write_text(GOOD.replace("kiosk-1", "kiosk-2"))
    running = load_active_profile(file, file.parent / "data")
    assert (running.profile.device.id, running.invalid) == ("kiosk-2", "")


def test_a_last_good_profile_that_is_damaged_itself_counts_as_none(file):
    file.write_text("nonsense =")
    (file.parent / "data" / LAST_GOOD).write_text("[device")
    assert isinstance(load_active_profile(file, file.parent / "data"), list)


@each_wrong
def test_a_profile_that_cannot_be_used_does_not_become_the_last_good_one(file, content):
    if content is not None:
        put(file, content)
        keep_good(load_active_profile(file, file.parent / "data"), file.parent / "data")
    assert (file.parent / "data" / LAST_GOOD).read_text() == GOOD


def test_an_identity_still_names_the_device(file):
    identity = file.parent / "data" / "identity" / "identity.json"
    identity.parent.mkdir()
    identity.write_text(
        '{"profile": {"device": {"id": "kiosk-9", "site": "shop-9"}, "trust": {"roots_file": "r"}}}'
    )
    file.write_text("nonsense =")
    running = load_active_profile(file, file.parent / "data")
    assert isinstance(running, ActiveProfile)
    assert (running.profile.device.id, running.damage) == ("kiosk-9", "")


def test_a_profile_that_is_the_last_good_one_already_is_not_written_again(file):
    kept = file.parent / "data" / LAST_GOOD
    before = kept.stat().st_ino
    keep_good(load_active_profile(file, file.parent / "data"), file.parent / "data")
    assert kept.stat().st_ino == before


def test_the_locks_of_the_profile_before_are_released_too(file):
    file.write_text("nonsense =")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "edge.bootstrap.release_locks",
            "--profile",
            file,
            "--data",
            file.parent / "data",
        ],
        env={**os.environ, "GPIOZERO_PIN_FACTORY": "mock"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "1 locks de-energised\n")
