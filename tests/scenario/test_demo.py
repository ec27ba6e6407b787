"""The demonstration runs everything but the hardware for real, and compares both ledgers."""

import subprocess

import pytest
from hardware_sim.run.process_stack import program
from hardware_sim.world.ledger_comparison import compare

ROW = {
    "epoch": "e",
    "seq": 1,
    "cti": "aa",
    "order": "A-1",
    "kind": "write_off",
    "use": 1,
    "units": 1,
    "amount_minor": 5,
    "currency": "CNY",
    "verdict": "accepted",
}
EVENT = {
    "epoch": "e",
    "seq": 1,
    "type": "redeemed",
    "refused": None,
    "body": {name: ROW[name] for name in ("cti", "order", "kind", "use", "units", "verdict")},
}


def test_ledgers_with_the_same_rows_agree():
    assert compare([ROW], [EVENT, {**EVENT, "seq": 2, "type": "refused"}]) == []


@pytest.mark.parametrize(
    ("device", "hub", "complaint"),
    [
        pytest.param([ROW], [], "the hub does not", id="an event was lost"),
        pytest.param([], [EVENT], "the device does not", id="no device redeemed it"),
        pytest.param([{**ROW, "use": 2}], [EVENT], "use is 2", id="other content"),
        pytest.param(
            [ROW], [{**EVENT, "refused": "why"}], "refused it: why", id="refused by the hub"
        ),
        pytest.param([ROW], [{**EVENT, "epoch": "f"}], "the hub does not", id="another epoch"),
    ],
)
def test_every_difference_between_the_ledgers_is_named(device, hub, complaint):
    assert any(complaint in str(difference) for difference in compare(device, hub))


@pytest.mark.timeout(240)
def test_the_whole_system_runs_and_its_ledgers_agree():
    done = subprocess.run(
        [program("edge-scanner"), "demo", "--fast"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for reason in (
        "already_redeemed",
        "signature_invalid",
        "expired",
        "audience",
        "key_unknown",
        "revoked",
        "prefix_unknown",
        "accepted_pending_review",
    ):
        assert reason in done.stdout
    assert "7 redemptions: the ledgers agree" in done.stdout


def test_the_demonstration_fails_and_names_a_missing_camera():
    command = [program("edge-scanner"), "demo", "--fast", "--camera", "31"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no pictures from camera 31" in done.stderr
    assert "Traceback" not in done.stderr
