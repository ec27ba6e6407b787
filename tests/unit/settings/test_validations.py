"""The whole profile is validated once a start, and once for each document that changes it."""

from contextlib import contextmanager
from unittest import mock

import pytest

from edge.config import Profile
from edge.settings.active_profile import keep_good, load_active_profile
from edge.settings.state_machine import SettingsPhase
from tests.support.settings_device import NOW, PROFILE, Device, document


@contextmanager
def validations():
    """Count how often the whole profile is validated."""
    validate, counted = Profile.model_validate, []

    def counting(item, **options):
        counted.append(item)
        return validate(item, **options)

    with mock.patch.object(Profile, "model_validate", counting):
        yield counted


@pytest.fixture
def device(tmp_path):
    """Return a device that has started before: its shipped profile is kept as the last good."""
    device = Device(tmp_path)
    keep_good(load_active_profile(device.file, device.data), device.data)
    return device


@pytest.fixture
def committed(device):
    device.live(document(1, 50.0))
    assert device.settings.state().phase is SettingsPhase.COMMITTED
    return device


def enrol(device: Device) -> None:
    identity = device.data / "identity" / "identity.json"
    identity.parent.mkdir()
    identity.write_text(
        '{"profile": {"device": {"id": "kiosk-1", "site": "shop-1"}, "trust": {"roots_file": "r"},'
        ' "mqtt": {"host": "h", "ca_file": "c", "cert_file": "c", "key_file": "k"}}}'
    )


def test_the_first_start_of_all_validates_the_shipped_profile_once(tmp_path):
    device = Device(tmp_path)
    with validations() as counted:
        keep_good(load_active_profile(device.file, device.data), device.data)
    assert len(counted) == 1


@pytest.mark.parametrize("is_enrolled", [False, True], ids=["as shipped", "enrolled"])
def test_a_start_on_the_shipped_profile_validates_it_once(device, is_enrolled):
    if is_enrolled:
        enrol(device)
    with validations() as counted:
        running = load_active_profile(device.file, device.data)
        keep_good(running, device.data)
    assert len(counted) == 1
    assert running.problem == running.damage == running.invalid == ""


@pytest.mark.parametrize("is_enrolled", [False, True], ids=["as shipped", "enrolled"])
def test_a_start_on_pushed_settings_validates_the_whole_once(committed, is_enrolled):
    if is_enrolled:
        enrol(committed)
    with validations() as counted:
        running = load_active_profile(committed.file, committed.data)
        keep_good(running, committed.data)
    assert len(counted) == 1
    assert running.profile.decode.budget_ms == 50.0


def test_a_shipped_profile_that_was_edited_costs_one_validation_more(committed):
    committed.file.write_text(PROFILE.replace("60.0", "61.0"))
    with validations() as counted:
        keep_good(load_active_profile(committed.file, committed.data), committed.data)
    assert len(counted) == 2
    with validations() as counted:
        keep_good(load_active_profile(committed.file, committed.data), committed.data)
    assert len(counted) == 1


def test_both_processes_start_with_one_validation_each(committed):
    with validations() as counted:
        committed.live()
    assert len(counted) == 2


def test_a_start_of_sync_and_its_first_report_validate_nothing_again(committed):
    with validations() as counted:
        applier = committed.applier()
        for second in range(10):
            applier.step(connected=True, now=NOW, monotonic_s=float(second))
            assert not applier.wants_restart
            applier.report()
    assert len(counted) == 1


def test_a_changed_document_is_validated_once_by_each_process(committed):
    """Two starts and three documents, in two processes that share no memory."""
    for rev in (2, 3, 4):
        with validations() as counted:
            committed.live(document(rev, 50.0 + rev))
        assert committed.settings.state().phase is SettingsPhase.COMMITTED
        assert len(counted) == 2 + 2, "a start and the document, in sync and in the scanner"


def test_settings_that_wait_for_the_broker_are_not_validated_with_every_step(device):
    device.file.write_text(
        PROFILE + '[mqtt]\nhost = "a"\nca_file = "c"\ncert_file = "c"\nkey_file = "k"\n'
    )
    applier = device.applier()
    applier.receive(document(1, 0, mqtt={"host": "b"}), NOW)
    with validations() as counted:
        for second in range(10):
            applier.step(connected=False, now=NOW, monotonic_s=float(second))
    assert len(counted) == 1
