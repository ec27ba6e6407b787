"""A device's life in a fleet, from the box to its revocation, as real processes, in order."""

import json
import random
import sqlite3
import subprocess

import pytest
from hardware_sim.run.process_stack import program

from edge.values.instant import Instant
from sync.agent.enrolment.enrolment import enrol
from sync.agent.enrolment.enrolment_error import EnrolmentError
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from tests.support.broker import MOSQUITTO, until
from tests.support.fleet_environment import Platform, Scan

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto"
)
NOW = Instant(unix_s=0)
PUSHED = 'layer = "site"\nname = "shop-1"\nprobation_s = 1\n[content.decode]\nbudget_ms = 47.0\n'


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with Platform(tmp_path_factory.mktemp("fleet")) as platform:
        yield platform


@pytest.fixture(scope="module")
def device(platform):
    with Scan(platform.folder, platform.fresh, "device") as device:
        yield device


@pytest.fixture(scope="module")
def code(platform):
    """Return a code for the device that the platform's orders are homed on."""
    (line,) = platform.json("enrol", "--device", "locker-1", "--site", "shop-1")
    return line["code"]


def test_a_factory_fresh_device_trusts_no_fleet_and_reports_that(platform, device):
    until((device.data / "health.json").exists, what="it scans")
    assert device.show(platform.sample.codes["voucher"], "scan")["signal"] == "stop"
    assert "no_roots" in device.health()["problems"]


def test_it_joins_by_a_code_before_its_own_camera_and_starts_to_work(platform, device, code):
    assert device.show(code, "enrolment")["enrolled"] is True
    until(lambda: platform.device()["state"] == "online", what="it is online")
    until(lambda: "no_roots" not in device.health()["problems"], what="it has trust")
    assert device.show(platform.sample.codes["voucher"], "scan")["reason"] == "accepted"


def test_it_gets_its_configuration(platform, device):
    lines = platform.json("push", platform.settings_file(PUSHED), "--yes")
    assert [line["outcome"] for line in lines if line["event"] == "device"][-1] == "committed"
    (difference,) = [line for line in lines if line["event"] == "difference"]
    assert difference["changes"] == [{"path": "decode.budget_ms", "before": 60.0, "after": 47.0}]


def test_the_code_is_worth_nothing_a_second_time_and_the_attempt_is_seen(
    platform, device, code, tmp_path
):
    with pytest.raises(EnrolmentError) as raised:
        enrol(code, tmp_path, keys=None, now=NOW)
    assert raised.value.reason == "code_reused"
    assert any("stolen" in issue for issue in platform.device()["issues"])
    assert "code_reused" in [line.get("reason") for line in platform.json("enrol", "--list")]


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        pytest.param(["orders"], {"order_id", "status", "cti"}, id="orders"),
        pytest.param(["exceptions"], {"dev", "kind", "detail"}, id="exceptions"),
        pytest.param(["watch", "--for", "2"], {"dev", "type", "at_s"}, id="watch"),
        pytest.param(["status"], {"dev", "site", "issues"}, id="status"),
    ],
)
def test_what_ops_look_at_is_json_and_nothing_else_when_they_say_so(
    platform, device, command, keys
):
    lines = platform.json(*command, code=None)
    assert lines or command == ["exceptions"]
    assert all(keys <= line.keys() for line in lines)


def test_people_get_a_table_with_a_head_and_a_message_when_it_is_empty(platform, device):
    head, *rows = platform.fleet("orders").stdout.splitlines()
    assert head.split() == ["order", "kind", "site", "status", "quantity", "used", "code"]
    assert len(rows) == 9
    assert platform.fleet("orders", "--order", "nobody's").stderr.strip() == "0 order lines"
    assert platform.fleet("exceptions").stderr.strip() == "no open cases"
    assert "Done: rev " in platform.fleet("push", platform.settings_file(PUSHED), "--yes").stderr


def test_the_device_itself_shows_what_it_runs_on(platform, device):
    command = [
        program("edge-scanner"),
        "config",
        "show",
        "--profile",
        str(platform.fresh),
        "--data",
        str(device.data),
    ]
    shown = json.loads(
        subprocess.run([*command, "--json"], check=True, capture_output=True, text=True).stdout
    )
    assert (shown["profile"]["device"]["id"], shown["profile"]["decode"]["budget_ms"]) == (
        "locker-1",
        47.0,
    )
    assert shown["settings"]["state"] == "committed"


def test_a_revoked_device_stops_wipes_what_it_knows_and_seals_what_it_had_not_reported(
    platform, device
):
    until(lambda: device.health()["outbox"]["pending"] == 0, what="all is reported")
    device.sync.stop()  # no network
    assert device.show(platform.sample.codes["glare"], "scan")["reason"] == "accepted"
    before = json.loads((device.data / "identity" / "identity.json").read_text())["profile"]["mqtt"]
    (line,) = platform.json("revoke", "locker-1", "--reason", "sold", "--yes", "--wait", "2")
    assert line["stage"] == "quarantined", (
        "away, it can do no harm at the broker, but it has not received it"
    )
    device.connect()
    until(
        lambda: platform.device()["revoked"]["stage"] == "cut",
        what="it has received it, and is cut off",
    )
    assert device.show(platform.sample.codes["risky"], "scan")["reason"] == "blocked_device"
    assert device.health()["problems"]["blocked_device"] == "sold"
    assert _people(device) == 0
    (sealed,) = (device.data / "recovery").glob("*.sealed")
    assert b"V-100" not in b"".join(
        path.read_bytes() for path in device.data.rglob("*") if path.is_file()
    )
    recovered = platform.fleet(
        "recover", str(sealed), "--keys", str(platform.folder / "keys")
    ).stdout
    assert [json.loads(line)["body"]["order"] for line in recovered.splitlines()] == ["V-1003"]
    assert not _connects(platform, before), "the broker does not even let it in"


def test_a_revoked_device_returns_by_a_new_code(platform, device):
    (line,) = platform.json("enrol", "--device", "locker-1", "--site", "shop-1")
    assert device.show(line["code"], "enrolment")["enrolled"] is True
    until(
        lambda: platform.device()["revoked"] is None and platform.device()["state"] == "online",
        what="it is back",
    )
    until(lambda: "blocked_device" not in device.health()["problems"], what="it is not blocked")
    again = device.show(platform.sample.codes["voucher"], "scan")
    assert again["reason"] == "already_redeemed", "once is once, whatever happened in between"


@pytest.mark.slow
def test_a_certificate_that_is_due_is_renewed_by_the_device_itself(tmp_path):
    """Certificates last half an hour, so each is due at once: one a minute is enough."""
    made = Platform(tmp_path)
    config = made.sample.files.hub_config
    config.write_text(
        config.read_text().replace("ca_key_file", "certificate_days = 0.02\nca_key_file")
    )
    with made, Scan(tmp_path, made.fresh, "device") as device:
        (line,) = made.json("enrol", "--device", "locker-1", "--site", "shop-1")
        assert device.show(line["code"], "enrolment")["enrolled"] is True
        until(lambda: device.sync.logged("certificate_renewed"), 30, "it has a new certificate")
        renewed = device.sync.lines.index(device.sync.logged("certificate_renewed")[0])
        until(
            lambda: any(line.get("state") == "connected" for line in device.sync.lines[renewed:]),
            30,
            "it connects",
        )
        assert len(list((device.data / "identity").glob("device-*.pem"))) == 1


def _people(device: Scan) -> int:
    connection = sqlite3.connect(device.data / "store.db")
    counts = [
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("entitlement", "journal")
    ]
    counts += [connection.execute("SELECT count(*) FROM ledger WHERE order_id <> ''").fetchone()[0]]
    counts += [connection.execute("SELECT count(*) FROM outbox WHERE body <> '{}'").fetchone()[0]]
    connection.close()
    return sum(counts)


def _connects(platform: Platform, mqtt: dict) -> bool:
    endpoint = Endpoint(client_id="locker-1", **mqtt)
    session = MqttSession(endpoint, ["v1/main/locker-1/dn/#"], uniform=random.uniform)
    for _ in range(10):
        session.step(0.1)
    connected = session.connected
    session.close()
    return connected
