"""The whole scanner with lock boards, scan engines and a trigger."""

import re
import time

import pytest
from hardware_sim.parts.doors import Doors
from hardware_sim.parts.lock_board import LineFault, SimLockBoards
from hardware_sim.parts.serial_port import SimPort
from hardware_sim.run.in_process_scanner import HOLD_OFF_S, open_scanner, provision_scanner
from hardware_sim.vision.view_condition import CLEAN

from edge.config import parse_profile
from edge.store import ledger
from edge.store.opening import open_for_reading


@pytest.fixture
def sample(tmp_path):
    return provision_scanner(tmp_path, now_s=int(time.time()))


def rewire(sample, change):
    text = change(sample.profile.read_text(encoding="utf-8"))
    sample.profile.write_text(text, encoding="utf-8")
    return parse_profile(text)


@pytest.fixture
def engine(sample, tmp_path):
    rewire(sample, lambda text: text + f'\n[engines.serial]\nport = "{tmp_path / "engine"}"\n')
    port = SimPort(tmp_path / "engine")
    yield port
    port.unplug()


@pytest.fixture
def boards(sample, tmp_path):
    def onto_a_board(text):
        text = re.sub(
            r"lock_pin = \d+\ndoor_pin = (\d+)\n", lambda found: f"lock_number = {found[1]}\n", text
        )
        text = text.replace("lock_number = 19", "lock_number = 9")
        board = (
            'driver = "board"\ndoor_open_timeout_s = 1\npulse_ms = 150\n'
            f'[locker.board]\nport = "{tmp_path / "line"}"\n'
        )
        return text.replace("pulse_ms = 150\ngrace_s = 0\n", "grace_s = 0\n" + board)

    profile = rewire(sample, onto_a_board)
    places = profile.locker.board_places()
    doors = Doors(places, person_closes_after_s=0.4)
    boards = SimLockBoards(tmp_path / "line", places, pulse_s=0.15, doors=doors)
    yield boards
    boards.close()


def redemptions(sample):
    store = open_for_reading(sample.data)
    try:
        return ledger.rows(store)
    finally:
        store.close()


def states(kiosk):
    return [line["state"] for line in kiosk.log if line["event"] == "door"]


def scanned(kiosk, engine, code):
    before = len(kiosk.scans)
    engine.send(kiosk.sample.codes[code].encode() + b"\r\n")
    kiosk.wait(lambda: len(kiosk.scans) > before)
    return kiosk.scans[-1]


def test_an_engines_code_is_redeemed_once_as_a_frames_is(sample, engine):
    with open_scanner(sample) as kiosk:
        time.sleep(0.3)  # until the engine is open
        scan = scanned(kiosk, engine, "voucher")
        assert (scan["reason"], scan["decoder"], scan["decode_ms"]) == ("accepted", "serial", None)
        assert 0 <= scan["total_ms"] < 1000
        time.sleep(2 * HOLD_OFF_S)
        assert scanned(kiosk, engine, "voucher")["reason"] == "already_redeemed"
        assert scanned(kiosk, engine, "forged")["reason"] == "signature_invalid"
    assert len(redemptions(sample)) == 1


def test_a_code_that_engine_and_camera_see_at_once_is_one_scan(sample, engine):
    with open_scanner(sample) as kiosk:
        time.sleep(0.3)
        kiosk.scene.show(sample.codes["voucher"], CLEAN)
        scanned(kiosk, engine, "voucher")
        time.sleep(0.5)
        assert len(kiosk.scans) == 1


def test_an_engine_scans_while_the_trigger_sleeps_and_each_showing_counts(sample, engine):
    rewire(sample, lambda text: text + "\n[trigger]\npin = 24\n")
    with open_scanner(sample) as kiosk:
        time.sleep(0.3)
        assert scanned(kiosk, engine, "voucher")["reason"] == "accepted"
        time.sleep(2 * HOLD_OFF_S)
        assert scanned(kiosk, engine, "voucher")["reason"] == "already_redeemed"


def test_an_unplugged_engine_is_a_problem_by_name_until_it_is_back_and_the_camera_scans_on(
    sample, engine
):
    with open_scanner(sample) as kiosk:
        problems = lambda: kiosk.daemon.supervisor.problems  # noqa: E731
        time.sleep(0.3)
        engine.unplug()
        kiosk.wait(lambda: "engine_serial" in problems())
        assert kiosk.scan("voucher")["decoder"] != "serial"
        engine.plug()
        kiosk.wait(lambda: "engine_serial" not in problems())
        assert scanned(kiosk, engine, "glare")["reason"] == "accepted"


def test_a_pickup_over_a_lock_board_opens_its_door_and_is_collected(sample, boards):
    with open_scanner(sample) as kiosk:
        assert kiosk.scan("pickup")["reason"] == "accepted"
        kiosk.wait(lambda: "collected" in states(kiosk))
    assert boards.open_commands == ["A1"]
    assert boards.doors.openings == ["A1"]


def test_a_lock_board_without_power_is_a_problem_and_no_door_is_pulsed_twice(sample, boards):
    boards.faults.add(LineFault.SILENT)
    with open_scanner(sample) as kiosk:
        kiosk.wait(lambda: "lock_board_0" in kiosk.daemon.supervisor.problems)
        kiosk.scan("pickup")
        kiosk.wait(lambda: "unknown" in states(kiosk))
        (line,) = [entry for entry in kiosk.log if entry.get("state") == "unknown"]
        assert "nothing was energised" in line["detail"]
        boards.faults.clear()
        kiosk.wait(lambda: "lock_board_0" not in kiosk.daemon.supervisor.problems)
        time.sleep(0.3)
    assert boards.open_commands == []


def test_a_code_before_the_lens_waits_for_the_trigger_and_each_press_is_a_scan(sample):
    rewire(sample, lambda text: text + "\n[trigger]\npin = 24\nscan_s = 0.3\n")
    with open_scanner(sample) as kiosk:
        button = kiosk.pins.pin(24)
        kiosk.scene.show(sample.codes["voucher"], CLEAN)
        time.sleep(0.5)
        assert kiosk.scans == []
        for count, reason in ((1, "accepted"), (2, "already_redeemed")):
            button.drive_low()
            kiosk.wait(lambda count=count: len(kiosk.scans) == count)
            button.drive_high()
            assert kiosk.scans[-1]["reason"] == reason
            time.sleep(0.3 + 2 * HOLD_OFF_S)  # asleep again; the code lies there all the time
        assert len(kiosk.scans) == 2
