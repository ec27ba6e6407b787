"""The operators' way whole: a list pushed by ops, through hub and broker to a device; a badge, a PIN, and what they do.

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
    with Scan(platform.folder, platform.town.profile, "device") as device:
        until(
            lambda: device.sync.said("orders_snapshot_complete"), what="it has its lists and orders"
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
    words = ("--kind", "operator", "--site", SITE, "--order", name, "--json")
    return json.loads(run("edge-fleet", "issue", "--keys", keys(platform), *words).stdout)["token"]


def run(command, *words, exit_code=0, **options):
    done = subprocess.run(
        [program(command), *words],
        check=False,
        capture_output=True,
        text=True,
        start_new_session=True,
        **options,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == exit_code, (done.stdout, done.stderr)
    return done


def at(device, platform, *words, **options):
    """Run edge-scanner at the device, by hand."""
    place = ["--data", str(device.data)]
    if words[:2] == ("operator", "sign-in"):
        place += ["--profile", str(platform.town.profile)]
    at_group = words[:1] if words[0] not in ("reverse", "operator") else words
    rest = words[len(at_group) :]
    return run("edge-scanner", *at_group, *place, *rest, **options)


def told(platform, kind):
    config = str(platform.town.files.hub_config)
    rows = run(
        "edge-hub", "ledger", "--config", config, "--json", "--dev", DEVICE
    ).stdout.splitlines()
    return [row["body"] for row in map(json.loads, rows) if row["type"] == kind]


def test_a_pushed_list_a_badge_and_its_pin_open_a_session_and_what_is_done_in_it_names_the_person_at_the_hub(
    platform, device
):
    voucher = platform.town.codes["voucher"]
    assert "1 operator of shop-1" in push(platform, ("sue", "supervisor")).stderr
    until(lambda: device.sync.said("operator_list_stored"), what="the list has come to the device")
    scan = device.show(badge(platform, "sue"), "scan")
    assert scan["reason"] == "pin_needed"
    wrong = at(device, platform, "operator", "sign-in", input="111112\n", exit_code=1)
    assert "Wrong PIN" in wrong.stderr
    signed = at(device, platform, "operator", "sign-in", input=f"{PIN}\n")
    assert signed.stdout.startswith("sue (supervisor) is signed in")
    assert device.show(voucher, "scan")["reason"] == "accepted"
    (row,) = [
        json.loads(line) for line in at(device, platform, "ledger", "--json").stdout.splitlines()
    ]
    at(device, platform, "reverse", str(row["id"]), "--reason", "wrong person")
    until(lambda: told(platform, "reversed"), what="the hub has the reversal")
    (honoured,), (reversed_,) = told(platform, "redeemed"), told(platform, "reversed")
    assert (honoured["operator"], reversed_["operator"], reversed_["reason"]) == (
        "sue",
        "sue",
        "wrong person",
    )
    assert [(body["operator"], body["result"]) for body in told(platform, "operator")] == [
        ("sue", "pin_wrong"), ("sue", "signed_in")
    ]  # fmt: skip
    push(platform, ("rob", "operator"))
    until(lambda: len(device.sync.said("operator_list_stored")) == 2, what="the next list has come")
    assert "nobody is signed in" in at(device, platform, "operator", "who", exit_code=1).stdout


def test_a_list_that_ops_did_not_sign_or_an_older_one_is_not_passed_on(platform):
    push(platform, ("sue", "supervisor"))
    listed = platform.folder / "operators.cbor"
    raw = listed.read_bytes()
    listed.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    refused = platform.fleet("operators", "push", str(listed), code=1)
    assert "does not believe this list" in refused.stderr
