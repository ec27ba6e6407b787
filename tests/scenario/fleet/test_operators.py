"""Operators end to end: a list from operations to a device, a badge, a PIN, and their actions.

Real broker, hub, edge-sync and scanner; badges and vouchers are shown to its camera.
"""

import json
import subprocess

import pytest
from hardware_sim.run.process_stack import program
from hardware_sim.world.sample_platform import DEVICE, SITE

from edge.documents.pin_hash import hash_pin
from tests.support.broker import MOSQUITTO, until
from tests.support.fleet_environment import Platform, Scan

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto"
)
PIN = "602214"


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with Platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture
def device(platform):
    with Scan(platform.folder, platform.sample.profile, "device") as device:
        until(
            lambda: device.sync.logged("orders_snapshot_complete"), what="lists and orders arrived"
        )
        yield device


def keys(platform):
    return str(platform.folder / "keys")


def push(platform, *people):
    """Build the signed list of ``people`` (name, role), and push it."""
    named = [{"id": name, "role": role, "pin_hash": hash_pin(PIN)} for name, role in people]
    (platform.folder / "people.json").write_text(json.dumps(named))
    listed = platform.folder / "operators.cbor"
    where = ["--people", str(platform.folder / "people.json"), "-o", str(listed)]
    run("edge-fleet", "operators", "build", "--keys", keys(platform), "--site", SITE, *where)
    return platform.fleet("operators", "push", str(listed))


def badge(platform, name):
    options = ("--kind", "operator", "--site", SITE, "--order", name, "--json")
    return json.loads(run("edge-fleet", "issue", "--keys", keys(platform), *options).stdout)[
        "token"
    ]


def run(command, *arguments, exit_code=0, **options):
    done = subprocess.run(
        [program(command), *arguments],
        check=False,
        capture_output=True,
        text=True,
        start_new_session=True,
        **options,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == exit_code, (done.stdout, done.stderr)
    return done


def scanner(device, platform, *words, **options):
    """Run an edge-scanner command at the device."""
    where = ["--data", str(device.data)]
    if words[:2] == ("operator", "sign-in"):
        where += ["--profile", str(platform.sample.profile)]
    command = words[:1] if words[0] not in ("reverse", "operator") else words
    return run("edge-scanner", *command, *where, *words[len(command) :], **options)


def hub_events(platform, kind):
    """Return the bodies of the device's events of ``kind`` in the hub's ledger."""
    config = str(platform.sample.files.hub_config)
    rows = run(
        "edge-hub", "ledger", "--config", config, "--json", "--dev", DEVICE
    ).stdout.splitlines()
    return [row["body"] for row in map(json.loads, rows) if row["type"] == kind]


def test_a_badge_and_its_pin_open_a_session_and_the_hub_records_the_person_with_each_action(
    platform, device
):
    voucher = platform.sample.codes["voucher"]
    assert "1 operator of shop-1" in push(platform, ("sue", "supervisor")).stderr
    until(lambda: device.sync.logged("operator_list_stored"), what="the list arrived at the device")
    scan = device.show(badge(platform, "sue"), "scan")
    assert scan["reason"] == "pin_needed"
    wrong = scanner(device, platform, "operator", "sign-in", input="111112\n", exit_code=1)
    assert "Wrong PIN" in wrong.stderr
    signed = scanner(device, platform, "operator", "sign-in", input=f"{PIN}\n")
    assert signed.stdout.startswith("sue (supervisor) is signed in")
    assert device.show(voucher, "scan")["reason"] == "accepted"
    (row,) = [
        json.loads(line)
        for line in scanner(device, platform, "ledger", "--json").stdout.splitlines()
    ]
    scanner(device, platform, "reverse", str(row["id"]), "--reason", "wrong person")
    until(lambda: hub_events(platform, "reversed"), what="the hub has the reversal")
    (redeemed,), (reversed_,) = hub_events(platform, "redeemed"), hub_events(platform, "reversed")
    assert (redeemed["operator"], reversed_["operator"], reversed_["reason"]) == (
        "sue",
        "sue",
        "wrong person",
    )
    assert [(body["operator"], body["result"]) for body in hub_events(platform, "operator")] == [
        ("sue", "pin_wrong"),
        ("sue", "signed_in"),
    ]
    push(platform, ("rob", "operator"))
    until(
        lambda: len(device.sync.logged("operator_list_stored")) == 2, what="the next list arrived"
    )
    shown = scanner(device, platform, "operator", "who", exit_code=1).stdout
    assert "no operator is signed in" in shown


def test_a_list_with_a_wrong_signature_is_not_passed_on(platform):
    push(platform, ("sue", "supervisor"))
    listed = platform.folder / "operators.cbor"
    raw = listed.read_bytes()
    listed.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    refused = platform.fleet("operators", "push", str(listed), code=1)
    assert "cannot verify this list" in refused.stderr
