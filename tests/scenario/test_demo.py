"""The demonstration is the main job: everything real but the hardware, and the ledgers held against each other."""

import subprocess

import pytest
from hardware_sim.run.process_stack import program
from hardware_sim.world.ledger_comparison import compare

ROW = {"epoch": "e", "seq": 1, "cti": "aa", "order": "A-1", "kind": "write_off", "use": 1, "units": 1,
       "amount_minor": 5, "currency": "CNY", "verdict": "accepted"}  # fmt: skip
EVENT = {"epoch": "e", "seq": 1, "type": "redeemed", "refused": None,
         "body": {name: ROW[name] for name in ("cti", "order", "kind", "use", "units", "verdict")}}  # fmt: skip


def test_ledgers_that_say_the_same_agree():
    assert compare([ROW], [EVENT, {**EVENT, "seq": 2, "type": "refused"}]) == []


@pytest.mark.parametrize(
    ("device", "hub", "complaint"),
    [
        pytest.param([ROW], [], "the hub has not", id="lost on the way"),
        pytest.param([], [EVENT], "the device has not", id="nobody honoured it"),
        pytest.param([{**ROW, "use": 2}], [EVENT], "use is 2", id="another content"),
        pytest.param(
            [ROW], [{**EVENT, "refused": "why"}], "refused it: why", id="refused by the hub"
        ),
        pytest.param([ROW], [{**EVENT, "epoch": "f"}], "the hub has not", id="another epoch"),
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
    for reason in ("already_redeemed", "signature_invalid", "expired", "audience", "key_unknown", "revoked",
                   "prefix_unknown", "accepted_pending_review"):  # fmt: skip
        assert reason in done.stdout
    assert "7 redemptions: the ledgers agree" in done.stdout


def test_a_camera_that_is_not_there_is_named_and_the_demonstration_fails():
    command = [program("edge-scanner"), "demo", "--fast", "--camera", "31"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no pictures from camera 31" in done.stderr
    assert "Traceback" not in done.stderr
