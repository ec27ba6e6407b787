"""Facts are read from real parts: a tree like a Pi's /sys, a store and certificates."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.config import CameraSection
from edge.doctor.broker_probe import read_certificate, try_broker
from edge.doctor.collection import (
    collect,
    read_camera,
    read_daemon,
    read_keys,
    read_pins,
    read_store,
)
from edge.doctor.facts import LastContact, NotEnrolled, Unknown
from edge.doctor.finding import FindingState
from edge.doctor.machine_checks import check_board
from edge.doctor.machine_probe import read_board, read_disk
from edge.settings.folder import SettingsFolder
from edge.settings.state_machine import SettingsPhase
from edge.settings.state_machine import SettingsState as PushedState
from edge.store.opening import open_store
from edge.system.health import write_health
from edge.token.keys import signer
from edge.token.roots import Roots
from tests.support.ordinary_user import ordinary_user
from tests.support.paths import FIRMWARE
from tests.support.pem_fleet import PemFleet

NOW_S = int(time.time())
DAY_S = 86_400


@pytest.fixture
def fleet(tmp_path):
    return PemFleet(tmp_path, "fleet", now_s=NOW_S)


def put(root: Path, path: str, text: str = "") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_without_certificate_files_the_device_is_not_enrolled_and_the_broker_not_tried(
    tmp_path, fleet
):
    mqtt = fleet.mqtt((tmp_path / "none.pem", tmp_path / "none.key"))
    assert read_certificate(mqtt) == NotEnrolled(
        (str(tmp_path / "none.pem"), str(tmp_path / "none.key"))
    )
    assert try_broker(mqtt, 2).contact is LastContact.NOT_TRIED


def test_a_certificate_is_compared_with_its_key(fleet):
    cert, key = fleet.device("device", days=2)
    fact = read_certificate(fleet.mqtt((cert, key)))
    assert (fact.subject, fact.key_fits, fact.key_mode) == ("device", True, 0o600)
    assert fact.not_after_s == NOW_S + 2 * DAY_S
    _, other = fleet.device("other")
    assert not read_certificate(fleet.mqtt((cert, other))).key_fits


def test_a_camera_module_is_found_by_its_sensor(tmp_path):
    put(tmp_path, "sys/bus/i2c/devices/10-001a/name", "imx708_wide\n")
    put(tmp_path, "sys/bus/i2c/devices/1-0068/name", "ds3231\n")
    put(tmp_path, "dev/media0")
    fact = read_camera(CameraSection(), tmp_path)
    assert (fact.present, fact.readable, fact.name) == (True, True, "imx708")
    assert not read_camera(CameraSection(index=1), tmp_path).present


def test_a_usb_camera_is_found_by_its_node(tmp_path):
    put(tmp_path, "dev/video2")
    put(tmp_path, "sys/class/video4linux/video2/name", "UVC Camera\n")
    fact = read_camera(CameraSection(source="v4l2", index=2), tmp_path)
    assert (fact.present, fact.name) == (True, "/dev/video2 UVC Camera")
    assert not read_camera(CameraSection(source="v4l2", index=0), tmp_path).present


def test_pins_are_the_gpio_chips(tmp_path, monkeypatch):
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    assert read_pins(tmp_path).chips == ()
    put(tmp_path, "dev/gpiochip0")
    assert (read_pins(tmp_path).chips, read_pins(tmp_path).usable) == (("gpiochip0",), True)


def test_temperature_and_power_come_from_the_kernel(tmp_path):
    put(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "51540\n")
    put(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    put(tmp_path, "proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.5\0")
    fact = read_board(tmp_path)
    assert (fact.temperature_c, fact.throttled, fact.model) == (
        51.54,
        0x50005,
        "Raspberry Pi 4 Model B Rev 1.5",
    )


@pytest.mark.parametrize(("alarm", "flags"), [("0\n", 0), ("1\n", 1)])
def test_with_hwmon_the_deprecated_file_is_not_read(tmp_path, alarm, flags):
    put(tmp_path, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", alarm)
    put(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "not read")
    assert read_board(tmp_path).throttled == flags


@pytest.mark.parametrize(
    ("output", "flags"), [("throttled=0x50000", 0x50000), ('error=1 error_msg="no"', 1)]
)
def test_vcgencmd_is_used_first_because_it_reports_the_past_too(
    tmp_path, monkeypatch, output, flags
):
    put(tmp_path, "dev/vcio")
    put(tmp_path, "sys/class/hwmon/hwmon0/name", "rpi_volt\n")
    put(tmp_path, "sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n")
    put(tmp_path, "bin/vcgencmd", f"#!/bin/sh\n[ $1 = get_throttled ] && echo '{output}'\n")
    (tmp_path / "bin/vcgencmd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert read_board(tmp_path).throttled == flags


def test_a_hot_pi_with_under_voltage_has_two_failures_that_say_what_to_do(tmp_path):
    put(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "84000\n")
    put(tmp_path, "sys/class/hwmon/hwmon0/name", "rpi_volt\n")
    put(tmp_path, "sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n")
    found = {finding.part: finding for finding in check_board(read_board(tmp_path))}
    assert {part: finding.state for part, finding in found.items()} == {
        "temperature": FindingState.FAILURE,
        "power": FindingState.FAILURE,
    }
    assert "heat sink" in found["temperature"].todo.en
    assert "short cable" in found["power"].todo.en


def test_another_machine_than_a_pi_reports_neither(tmp_path):
    fact = read_board(tmp_path)
    assert (fact.temperature_c, fact.throttled) == (None, None)


def test_the_disk_is_that_of_the_folder_even_before_the_folder_exists(tmp_path):
    fact = read_disk(tmp_path / "not" / "yet")
    assert fact.folder == str(tmp_path)
    assert 0 < fact.free_bytes <= fact.total_bytes


def test_the_scanners_report_is_read_with_its_age(tmp_path):
    file = tmp_path / "health.json"
    assert read_daemon(file, 0) is None
    write_health(file, {"state": "degraded", "problems": {"camera": "lost"}})
    fact = read_daemon(file, file.stat().st_mtime + 4)
    assert (fact.age_s, fact.state, fact.problems) == (4, "degraded", {"camera": "lost"})


def test_a_store_is_read_and_not_changed(tmp_path):
    assert not read_store(tmp_path / "none").exists
    opened = open_store(
        tmp_path, device_id="kiosk-1", now_s=1_800_000_000, random_bytes=os.urandom, floor_s=7
    )
    opened.store.close()
    before = (tmp_path / "store.db").read_bytes()
    fact = read_store(tmp_path)
    assert (fact.device_id, fact.damage, fact.pending, fact.time_floor_s) == ("kiosk-1", None, 0, 7)
    assert (tmp_path / "store.db").read_bytes() == before


def test_the_keys_of_an_unreadable_store_are_unknown_and_not_missing(tmp_path):
    """Connecting the network would not help."""
    root = signer(Ed25519PrivateKey.generate()).public
    (tmp_path / "roots.cbor").write_bytes(Roots(1, (root,)).to_bytes())
    assert read_keys(tmp_path / "roots.cbor", tmp_path, 0).problems, (
        "without a store there is no list"
    )
    (tmp_path / "store.db").write_bytes(b"")
    assert isinstance(read_keys(tmp_path / "roots.cbor", tmp_path, 0), Unknown)


def test_a_file_that_is_not_a_database_is_a_damaged_store(tmp_path):
    (tmp_path / "store.db").write_bytes(b"not a database at all" * 100)
    assert "file is not a database" in read_store(tmp_path).damage


def test_an_empty_file_is_not_a_store_and_its_state_is_unknown(tmp_path):
    (tmp_path / "store.db").write_bytes(b"")
    fact = read_store(tmp_path)
    assert isinstance(fact, Unknown)
    assert "is not a scanner's store" in fact.why


def overwrite(file, begin, end):
    content = bytearray(file.read_bytes())
    content[begin:end] = bytes(len(content[begin:end]))
    file.write_bytes(content)


@pytest.fixture
def store_file(tmp_path):
    opened = open_store(tmp_path, device_id="kiosk-1", now_s=1_800_000_000, random_bytes=os.urandom)
    opened.store.close()
    return tmp_path / "store.db"


def test_a_file_that_is_damaged_throughout_is_a_damaged_store(store_file):
    overwrite(store_file, 8192, None)
    assert "malformed" in read_store(store_file.parent).damage


def test_one_damaged_page_of_an_index_of_the_ledger_is_found(store_file):
    with closing(sqlite3.connect(store_file)) as database:
        query = "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'ledger'"
        (page,), (size,) = (database.execute(sql).fetchone() for sql in (query, "PRAGMA page_size"))
    overwrite(store_file, (page - 1) * size, page * size)
    fact = read_store(store_file.parent)
    assert f"page {page}" in fact.damage.lower()  # SQLite 3.46 says it within a line
    assert fact.device_id == "kiosk-1", "the rest of the store is still read"


def test_the_collection_ends_on_any_machine_and_without_any_folder(tmp_path):
    (tmp_path / "dev").write_text("not a folder")
    (tmp_path / "health.json").write_text("{half")
    profile = tmp_path / "profile.toml"
    profile.write_bytes((FIRMWARE / "profiles" / "kiosk.toml").read_bytes())
    facts = collect(profile, tmp_path, root=tmp_path, timeout_s=0.2)
    assert isinstance(facts.daemon, Unknown)
    assert facts.store is not None


def test_a_folder_of_another_user_cannot_be_read():
    with ordinary_user() as folder:
        folder.chmod(0)
        facts = collect(folder / "profile.toml", folder / "data", timeout_s=0.2)
    assert "cannot be read" in str(facts.profile[0])


def test_a_damaged_identity_and_unusable_settings_are_reported(tmp_path):
    profile = tmp_path / "profile.toml"
    profile.write_bytes((FIRMWARE / "profiles" / "kiosk.toml").read_bytes())
    put(tmp_path, "data/identity/identity.json", "{")
    SettingsFolder(tmp_path / "data").change(
        lambda _: PushedState(phase=SettingsPhase.COMMITTED, good="0" * 64)
    )
    facts = collect(profile, tmp_path / "data", root=tmp_path, timeout_s=0.2)
    assert "not JSON" in facts.damage
    assert "push them again" in facts.settings
