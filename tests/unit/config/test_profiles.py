"""A device can run each shipped profile, and the published schema is the code's own model."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

from edge.config import Profile, parse_profile
from edge.config.json_schema import profile_schema, profile_schema_text
from tests.support.paths import FIRMWARE

PROFILES = sorted((FIRMWARE / "profiles").glob("*.toml"))
PULLED_DOWN_AT_RESET = range(
    9, 28
)  # BCM2835 ARM Peripherals, 6.2: GPIO 0 to 8 pull up, 9 to 27 down
RESERVED = {
    0: "HAT EEPROM",
    1: "HAT EEPROM",
    2: "I2C clock",
    3: "I2C clock",
    14: "console",
    15: "console",
}

each_profile = pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)


def load(path: Path) -> Profile:
    outcome = parse_profile(path.read_text(encoding="utf-8"))
    assert isinstance(outcome, Profile), "\n".join(map(str, outcome))
    return outcome


def test_there_is_a_profile_for_every_kind_of_device():
    assert {load(path).device.kind for path in PROFILES} == {"kiosk", "locker", "handheld"}


@each_profile
def test_a_shipped_profile_loads_and_agrees_with_the_schema(path):
    load(path)
    jsonschema.validate(tomllib.loads(path.read_text(encoding="utf-8")), profile_schema())


@each_profile
def test_a_shipped_profile_keeps_off_the_pins_of_clock_console_and_eeprom(path):
    assert not {pin for _, pin in load(path)._pins()} & RESERVED.keys()


@each_profile
def test_no_lock_is_energised_by_the_pull_of_its_pin_before_software_runs(path):
    locker = load(path).locker
    for name, compartment in locker.compartments.items():
        if compartment.lock_pin is None:  # on a lock board
            continue
        assert (compartment.lock_pin in PULLED_DOWN_AT_RESET) == locker.active_high, name


def test_the_boot_fragment_prepares_the_lockers_own_pins():
    profile = load(FIRMWARE / "profiles" / "locker-gpio.toml")
    fragment = (FIRMWARE / "boot" / "config-locker.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^gpio=([\d,]+)=(\S+)$", fragment, flags=re.MULTILINE)
    state = {int(pin): how for pins, how in lines for pin in pins.split(",")}
    doors = profile.locker.compartments.values()
    lamps = profile.indicators.model_dump(
        include={"green_pin", "amber_pin", "red_pin", "buzzer_pin"}
    ).values()
    assert state == (
        {door.lock_pin: "op,dl" for door in doors}
        | dict.fromkeys(lamps, "op,dl")
        | {door.door_pin: "ip,pu" for door in doors}
    )


def test_the_published_schema_is_the_models_own():
    published = (FIRMWARE / "profile.schema.json").read_text(encoding="utf-8")
    assert published == profile_schema_text(), (
        "out of date: run `python -m edge.config.json_schema > firmware-config/profile.schema.json`"
    )


def test_the_schema_is_one_that_validators_accept_and_that_refuses_a_misspelt_key():
    schema = json.loads(profile_schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = tomllib.loads(PROFILES[0].read_text(encoding="utf-8"))
    document["camera"]["widht_px"] = 640
    with pytest.raises(jsonschema.ValidationError, match="widht_px"):
        jsonschema.validate(document, schema)


@each_profile
def test_a_profile_says_which_boards_and_releases_it_serves(path):
    head = path.read_text(encoding="utf-8").split("schema_version")[0]
    assert "Raspberry Pi" in head
    assert "Bookworm" in head
    assert "Trixie" in head
