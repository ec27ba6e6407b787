"""A profile becomes devices; a missing one is a problem, and the scanner is built all the same."""

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory
from hardware_sim.vision.camera import CameraScene, SimCamera

from edge.bootstrap.hardware_assembly import build_hardware
from edge.bootstrap.release_locks import release
from edge.config import Profile, parse_profile
from edge.devices.lock_board import LockBoards
from edge.devices.null_devices import NoIndicator, NoLocker
from edge.ports import LockError
from tests.support.paths import FIRMWARE

HEAD = '[device]\nid = "d"\nsite = "s"\nkind = "locker"\n[trust]\nroots_file = "r"\n'
BOARD = (
    '[locker]\ndriver = "board"\n[locker.board]\nport = "/nowhere/line"\n'
    "[locker.compartments.A1]\nlock_number = 1\n"
)
PROFILES = sorted((FIRMWARE / "profiles").glob("*.toml"))


@pytest.fixture
def no_gpio(monkeypatch):
    """Make a machine without GPIO, whatever pin factory gpiozero has opened before."""
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "nonsense")
    monkeypatch.setattr(Device, "pin_factory", None)


def parts_of(text, **given):
    profile = parse_profile(text)
    assert isinstance(profile, Profile), profile
    return build_hardware(profile, open_camera=lambda: SimCamera(CameraScene()), **given)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_shipped_profile_can_be_built(path):
    profile = parse_profile(path.read_text(encoding="utf-8"))
    parts = build_hardware(
        profile, pin_factory=MockFactory(), open_camera=lambda: SimCamera(CameraScene())
    )
    try:
        assert parts.problems == {}
        assert parts.lock.compartments() == set(profile.locker.compartments)
        assert {engine.name for engine in parts.engines} == profile.engines.model_dump(
            exclude_none=True
        ).keys()
        assert (parts.trigger is None) == (profile.trigger is None)
    finally:
        parts.close()


@pytest.mark.usefixtures("no_gpio")
def test_a_board_locker_without_lamps_needs_no_gpio():
    parts = parts_of(HEAD + BOARD)
    assert isinstance(parts.lock, LockBoards)
    assert parts.lock is parts.doors
    assert parts.problems == {}
    assert parts.lock.is_open("A1") is None
    assert "plugged in" in parts.problems_now()["lock_board_0"]
    parts.close()


@pytest.mark.usefixtures("no_gpio")
def test_a_board_locker_with_lamps_but_no_gpio_has_its_locks():
    parts = parts_of(HEAD + BOARD + "[indicators]\ngreen_pin = 17\n[trigger]\npin = 4\n")
    assert parts.problems.keys() == {"gpio_unavailable"}
    assert "no GPIO on this machine" in parts.problems["gpio_unavailable"]
    assert isinstance(parts.indicator, NoIndicator)
    assert parts.trigger is None
    assert parts.lock.compartments() == {"A1"}
    parts.close()


@pytest.mark.usefixtures("no_gpio")
def test_a_gpio_locker_without_gpio_has_no_locks_and_a_problem():
    parts = parts_of(HEAD + "[locker.compartments.A1]\nlock_pin = 17\n")
    assert isinstance(parts.lock, NoLocker)
    assert parts.problems.keys() == {"gpio_unavailable"}
    with pytest.raises(LockError, match="no GPIO on this machine"):
        parts.lock.pulse("A1")
    parts.close()


def test_a_trigger_whose_pin_is_in_use_is_a_problem_and_every_frame_is_decoded():
    factory = MockFactory()
    other = parts_of(HEAD + "[trigger]\npin = 4\n", pin_factory=factory)
    parts = parts_of(HEAD + "[trigger]\npin = 4\n", pin_factory=factory)
    assert parts.trigger is None
    assert "pin 4" in parts.problems["trigger_unavailable"]
    other.close()
    parts.close()


def test_a_presence_sensor_is_built_and_its_pin_is_released():
    factory = MockFactory()
    for _ in range(2):
        parts = parts_of(HEAD + "[presence]\npin = 4\n", pin_factory=factory)
        assert parts.problems == {}
        assert parts.presence.is_pressed() is False
        factory.pin(4).drive_high()
        assert parts.presence.is_pressed() is True
        parts.close()


def test_no_lock_of_a_board_is_released_because_it_times_its_own_pulse():
    assert release(parse_profile(HEAD + BOARD), pin_factory=None) == 0


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        pytest.param(
            '[locker]\ndriver = "board"\n[locker.compartments.A1]\nlock_pin = 4\n',
            {
                "locker.compartments.A1.lock_number",
                "locker.compartments.A1.lock_pin",
                "locker.board",
            },
            id="pins with a board, and no board",
        ),
        pytest.param(
            BOARD + "[locker.compartments.A2]\nlock_number = 1\n",
            {"locker.compartments.A2.lock_number"},
            id="two doors on one lock",
        ),
        pytest.param(
            BOARD + "[locker.compartments.A2]\nlock_number = 1\nboard_address = 1\n",
            set(),
            id="two boards, one lock each",
        ),
        pytest.param(
            BOARD.replace('driver = "board"', ""),
            {
                "locker.board",
                "locker.compartments.A1.lock_pin",
                "locker.compartments.A1.lock_number",
            },
            id="a board without driver",
        ),
        pytest.param(
            BOARD + '[engines.serial]\nport = "/nowhere/line"\n',
            {"engines.serial.port"},
            id="an engine on its line",
        ),
        pytest.param(
            "[trigger]\npin = 4\n[presence]\npin = 4\n",
            {""},
            id="a trigger and a presence sensor on one pin",
        ),
        pytest.param(
            '[engines.hid]\ndevice = "/dev/x"\nlayout = "xx"\n',
            {"engines.hid.layout"},
            id="no such layout",
        ),
        pytest.param(
            BOARD.replace("lock_number = 1", "lock_number = 17"),
            {"locker.compartments.A1.lock_number"},
            id="a lock beyond the board's last",
        ),
    ],
)
def test_each_conflict_between_settings_has_its_path(text, errors):
    outcome = parse_profile(HEAD + text)
    found = [] if isinstance(outcome, Profile) else outcome
    assert {error.path for error in found} == errors
