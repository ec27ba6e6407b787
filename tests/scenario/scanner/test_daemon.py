"""The scanner whole: frames in, lamps and doors out, over a real store and simulated hardware."""

import json
import time

import numpy as np
import pytest
from hardware_sim.run.in_process_scanner import open_scanner, provision_scanner
from hardware_sim.vision.view_condition import CLEAN
from hardware_sim.world.sample_platform import provision_sample

from edge.capture.scan_engine import EngineScan
from edge.ports import NO_QUAD, Signal, Symbol
from edge.scanner.code_socket import hand_over
from edge.scanner.verdict_budget import VerdictBudget
from edge.store import ledger
from edge.store.opening import open_for_reading
from edge.system import log


@pytest.fixture
def sample(tmp_path):
    return provision_scanner(tmp_path, now_s=int(time.time()))


def redemptions(sample):
    store = open_for_reading(sample.data)
    try:
        return ledger.rows(store)
    finally:
        store.close()


def test_a_voucher_is_written_off_once_however_long_it_is_held_up(sample):
    with open_scanner(sample) as kiosk:
        kiosk.scene.show(sample.codes["voucher"], CLEAN)
        kiosk.wait(lambda: kiosk.scans)
        time.sleep(0.5)  # ten frames
        assert [scan["reason"] for scan in kiosk.scans] == ["accepted"]
        kiosk.scene.clear()
        time.sleep(0.4)
        assert kiosk.scan("voucher")["reason"] == "already_redeemed"
    assert len(redemptions(sample)) == 1


def test_no_lamp_is_green_before_the_redemption_is_on_disk(sample):
    seen = []
    with open_scanner(sample) as kiosk:
        panel, show = kiosk.daemon.display, kiosk.daemon.display.show_result

        def result(signal, now_s, **code):
            seen.append((signal, len(redemptions(sample))))  # over another connection
            show(signal, now_s, **code)

        panel.show_result = result
        kiosk.scan("voucher")
        kiosk.scan("glare")
    assert seen == [(Signal.GO, 1), (Signal.GO, 2)]


def test_a_time_zone_that_is_missing_is_a_named_problem_and_codes_without_rules_are_redeemed(
    sample,
):
    with sample.profile.open("a") as profile:
        profile.write('\n[policy]\ntimezone = "Atlantis/Poseidonis"\n')
    with open_scanner(sample) as kiosk:
        problem = kiosk.daemon.supervisor.problems["timezone_unknown"]
        assert "Atlantis/Poseidonis" in problem
        assert "policy.timezone" in problem
        assert kiosk.scan("voucher")["reason"] == "accepted"


def test_two_codes_in_a_frame_are_two_scans(sample):
    with open_scanner(sample) as kiosk:
        kiosk.scene.show_many([(sample.codes["voucher"], CLEAN), (sample.codes["glare"], CLEAN)])
        kiosk.wait(lambda: len(kiosk.scans) == 2)
    assert {scan["reason"] for scan in kiosk.scans} == {"accepted"}
    assert len(redemptions(sample)) == 2


def test_a_voucher_beside_a_foreign_code_shows_go_and_go_stays(sample):
    with open_scanner(sample) as kiosk:
        seen = []
        show = kiosk.daemon.display._indicator.show
        kiosk.daemon.display._indicator.show = lambda signal: (seen.append(signal), show(signal))
        kiosk.scene.show_many([(sample.codes["foreign"], CLEAN), (sample.codes["voucher"], CLEAN)])
        kiosk.wait(lambda: len(kiosk.scans) == 2)
    assert {scan["reason"] for scan in kiosk.scans} == {"accepted", "prefix_unknown"}
    assert [signal for signal in seen if signal in (Signal.GO, Signal.STOP)] == [Signal.GO]


def test_an_enrolment_code_that_anyone_can_print_replaces_no_go(sample):
    with open_scanner(sample) as kiosk:
        kiosk.daemon.offer_enrolment_code = lambda content: (
            "kiosk-2" if content.startswith(b"EN1:") else None
        )
        seen = []
        show = kiosk.daemon.display._indicator.show
        kiosk.daemon.display._indicator.show = lambda signal: (seen.append(signal), show(signal))
        assert hand_over(sample.data, sample.codes["voucher"].encode(), timeout_s=30)["accepted"]
        outcome = hand_over(sample.data, b"EN1:PRINTED", timeout_s=30)
    assert outcome["reason"] == "enrolment_code"
    assert [signal for signal in seen if signal in (Signal.GO, Signal.WAIT)] == [Signal.GO]


def test_a_wall_of_codes_before_the_camera_costs_a_scan_engine_no_verdict(sample):
    voucher = Symbol(content=sample.codes["voucher"].encode(), quad=NO_QUAD, decoder="engine")

    class Engine:
        """Reports one code, once."""

        def __init__(self):
            self.waiting = [EngineScan(voucher, time.monotonic_ns())]

        def poll(self):
            found, self.waiting = self.waiting, []
            return found

    with open_scanner(sample) as kiosk:
        kiosk.daemon.budget = VerdictBudget(most_a_frame=0)
        kiosk.daemon.engines = (Engine(),)
        kiosk.wait(lambda: kiosk.scans, 20)
    assert [scan["reason"] for scan in kiosk.scans] == ["accepted"]


def test_a_pickup_opens_its_door_and_is_collected_when_the_door_closes(sample):
    with open_scanner(sample) as kiosk:
        kiosk.scan("pickup")
        kiosk.wait(lambda: any(line.get("state") == "collected" for line in kiosk.log))
        assert kiosk.doors.openings == ["A1"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("forged", "signature_invalid"),
        ("expired", "expired"),
        ("wrong site", "audience"),
        ("unknown key", "key_unknown"),
        ("revoked", "revoked"),
        ("foreign", "prefix_unknown"),
        ("cancelled", "order_cancelled"),
        ("not ready", "not_ready"),
    ],
)
def test_what_is_refused_is_named_and_changes_nothing(sample, code, reason):
    with open_scanner(sample) as kiosk:
        scan = kiosk.scan(code)
    assert scan["reason"] == reason
    assert scan["signal"] != Signal.GO.value
    assert redemptions(sample) == []
    assert kiosk.doors.openings == []


def test_an_unplugged_camera_is_named_within_a_second_and_recovered_from(sample):
    with open_scanner(sample) as kiosk:
        kiosk.wait(lambda: kiosk.daemon.supervisor.resting_signal is Signal.IDLE)
        kiosk.scene.unplug()
        kiosk.wait(lambda: "camera" in kiosk.daemon.supervisor.problems, 2.0)
        kiosk.scene.replug()
        kiosk.wait(lambda: "camera" not in kiosk.daemon.supervisor.problems)
        assert kiosk.scan("voucher")["reason"] == "accepted"
    changes = [line for line in kiosk.log if line.get("problem") == "camera"]
    assert [line["event"] for line in changes] == ["problem", "problem_gone"]


def test_a_device_whose_store_cannot_be_used_still_scans_and_reports_why(tmp_path):
    sample = provision_sample(tmp_path, now_s=int(time.time()))
    sample.data.write_text("a file where the folder should be", encoding="utf-8")
    with open_scanner(sample) as kiosk:
        assert kiosk.scan("voucher")["reason"] == "store_unavailable"
        assert kiosk.scans[0]["signal"] == "fault"
        assert "store_unavailable" in kiosk.daemon.supervisor.problems


def test_a_device_that_never_reached_its_platform_still_scans_and_reports_why(tmp_path):
    sample = provision_sample(tmp_path, now_s=int(time.time()))
    with open_scanner(sample) as kiosk:
        assert kiosk.scan("voucher")["reason"] == "key_unknown"
        assert "no_trust_list" in kiosk.daemon.supervisor.problems
        kiosk.wait((sample.data / "health.json").exists)
        assert json.loads((sample.data / "health.json").read_text())["state"] == "degraded"


def test_a_corrupt_store_is_put_aside_and_the_device_continues(sample):
    with open_scanner(sample) as kiosk:
        kiosk.scan("voucher")
    (sample.data / "store.db").write_bytes(b"not a database" * 1000)
    with open_scanner(sample) as kiosk:
        assert "quarantined" in kiosk.daemon.supervisor.problems
        assert kiosk.scan("glare")["reason"] == "key_unknown"  # its lists must come again
    assert [path.name for path in sample.data.glob("store.db.*corrupt")]


def test_orders_and_lists_that_arrive_while_scanning_are_used(tmp_path):
    from hardware_sim.run.in_process_scanner import fill_store

    from edge.values.instant import Instant

    now_s = int(time.time())
    sample = provision_sample(tmp_path, now_s=now_s)
    with open_scanner(sample) as kiosk:
        assert kiosk.scan("voucher")["reason"] == "key_unknown"
        fill_store(sample, now=Instant(unix_s=now_s))
        kiosk.wait(lambda: "no_trust_list" not in kiosk.daemon.supervisor.problems)
        assert kiosk.scan("voucher")["reason"] == "accepted"


def test_the_log_has_the_outcome_of_a_code_and_nothing_about_the_person(sample):
    with open_scanner(sample) as kiosk:
        scan = kiosk.scan("voucher")
    assert set(scan) == {
        "event",
        "level",
        "reason",
        "detail",
        "signal",
        "cti",
        "order",
        "kind",
        "ledger",
        "decoder",
        "decode_ms",
        "total_ms",
    }
    assert sample.codes["voucher"] not in json.dumps(scan)


def test_a_camera_that_sends_no_pictures_is_named_and_the_scanner_outlives_it(sample):
    with open_scanner(sample) as kiosk:
        for garbage in (
            np.zeros((0, 0), np.uint8),
            np.zeros((4, 4, 3), np.uint8),
            np.zeros((4, 4), bool),
        ):
            kiosk.scene.show_frame(garbage)
            kiosk.wait(
                lambda: "not a grey picture" in kiosk.daemon.supervisor.problems.get("camera", "")
            )
            kiosk.scene.clear()
            kiosk.wait(lambda: "camera" not in kiosk.daemon.supervisor.problems)
        assert kiosk.scan("voucher")["reason"] == "accepted"


def test_log_lines_that_cannot_be_written_stop_no_scan():
    class Full:
        def write(self, _text):
            raise OSError(28, "No space left on device")

        def flush(self):
            raise OSError(28, "No space left on device")

    logger = log.configure(Full(), device="kiosk-1")
    logger.info("scan", reason="accepted")
    log.configure()
