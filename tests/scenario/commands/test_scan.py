"""``edge-scanner scan``: one code, handed to a running or to a stopped device."""

import json
import resource
import threading
import time

import cv2
import pytest
from hardware_sim.run.in_process_scanner import open_scanner, provision_scanner
from hardware_sim.vision.camera import CameraScene
from hardware_sim.vision.view_condition import CLEAN

from edge.cli import cli
from edge.scanner.code_socket import LARGEST_CODE, CodeSocket, hand_over
from edge.store import ledger
from edge.store.opening import open_for_reading
from tests.support.fleet_command import run


@pytest.fixture
def sample(tmp_path):
    return provision_scanner(tmp_path, now_s=int(time.time()))


def scan(sample, *codes, exit_code=0):
    result = run(
        cli,
        "scan",
        "--json",
        "--profile",
        sample.profile,
        "--data",
        sample.data,
        *codes,
        exit_code=exit_code,
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def rows(sample):
    store = open_for_reading(sample.data)
    try:
        return ledger.rows(store)
    finally:
        store.close()


def test_a_running_device_judges_a_code_and_shows_it_as_if_its_camera_had_read_it(sample):
    with open_scanner(sample) as kiosk:
        (outcome,) = scan(sample, sample.codes["voucher"])
        shown = [(line["reason"], line["signal"], line["decoder"]) for line in kiosk.scans]
    assert outcome == {
        "reason": "accepted",
        "accepted": True,
        "ledger": 1,
        "doors": [],
        "detail": "",
    }
    assert shown == [("accepted", "go", "handed")]
    assert len(rows(sample)) == 1


def test_a_running_device_opens_the_door_of_a_pickup(sample):
    with open_scanner(sample) as locker:
        (outcome,) = scan(sample, sample.codes["pickup"])
        locker.wait(lambda: any(line.get("state") == "collected" for line in locker.log))
        assert outcome["doors"] == ["A1"]
        assert locker.doors.openings == ["A1"]


def test_a_stopped_device_redeems_in_its_store_and_opens_no_door(sample):
    (outcome,) = scan(sample, sample.codes["pickup"])
    assert (outcome["reason"], outcome["ledger"], outcome["doors"]) == ("accepted", 1, ["A1"])
    assert "no door opens" in outcome["detail"]
    with open_scanner(sample) as locker:  # the customer scans again: the door opens now
        locker.scan("pickup")
        locker.wait(lambda: any(line.get("state") == "collected" for line in locker.log))
        assert locker.doors.openings == ["A1"]


def test_a_refused_code_is_exit_1_and_each_code_has_its_line(sample):
    with open_scanner(sample):
        found = scan(
            sample,
            sample.codes["voucher"],
            sample.codes["voucher"],
            sample.codes["foreign"],
            exit_code=1,
        )
    reasons = [outcome["reason"] for outcome in found]
    assert reasons == ["accepted", "already_redeemed", "prefix_unknown"]


def test_a_picture_is_read_as_the_camera_would(sample, tmp_path):
    scene = CameraScene()
    scene.show(sample.codes["voucher"], CLEAN)
    picture = tmp_path / "voucher.png"
    cv2.imwrite(str(picture), scene.picture(0))
    with open_scanner(sample):
        (outcome,) = scan(sample, picture)
    assert outcome["reason"] == "accepted"


def test_a_scanner_that_hangs_is_named_and_nothing_is_redeemed_beside_it(sample, monkeypatch):
    monkeypatch.setattr("edge.cli.scan.REPLY_TIMEOUT_S", 0.2)
    deaf = CodeSocket(sample.data)
    try:
        result = run(
            cli,
            "scan",
            "--profile",
            sample.profile,
            "--data",
            sample.data,
            sample.codes["voucher"],
            exit_code=1,
        )
    finally:
        deaf.close()
    assert "did not reply" in result.stderr
    assert rows(sample) == []


def test_a_scanner_that_ends_while_it_has_a_code_is_named(tmp_path):
    listening = CodeSocket(tmp_path)
    found = []

    def ask():
        try:
            hand_over(tmp_path, b"ES1:X", timeout_s=30)
        except OSError as error:
            found.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while not (codes := listening.poll()):
        time.sleep(0.01)
    codes[0]._connection.close()
    asking.join()
    listening.close()
    assert isinstance(found[0], ConnectionAbortedError)


def test_a_code_whose_sender_gave_up_is_not_judged(tmp_path):
    listening = CodeSocket(tmp_path)
    with pytest.raises(TimeoutError):
        hand_over(tmp_path, b"ES1:X", timeout_s=0.01)
    assert listening.poll() == []
    listening.close()


def test_a_scanner_without_a_descriptor_to_spare_scans_on(tmp_path):
    listening = CodeSocket(tmp_path)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
    try:
        assert listening.poll() == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    listening.close()


def test_more_than_a_code_can_hold_is_wrong_usage(sample):
    run(
        cli,
        "scan",
        "--profile",
        sample.profile,
        "--data",
        sample.data,
        "E" * (LARGEST_CODE + 1),
        exit_code=2,
    )
