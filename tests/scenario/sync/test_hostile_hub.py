"""A hub that lies without end refuses no customer and fills no disk (law 7, adr/0043)."""

import json
import subprocess
import time
from contextlib import closing

import pytest
from hardware_sim.run.process_stack import program, start_stack
from hardware_sim.world.sample_platform import DEVICE, provision_vouchers

from edge.config import Profile, parse_profile
from edge.store import exception_cases
from edge.store.opening import open_for_reading
from edge.values.node_name import HUB
from sync.agent import epoch_allowance
from sync.mqtt.endpoint import Endpoint
from tests.support.broker import MOSQUITTO, until
from tests.support.hostile_hub import HostileHub

SCANS = 10
ENOUGH_LIES = 500


@pytest.fixture
def stack(tmp_path):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    sample = provision_vouchers(tmp_path, SCANS, now_s=int(time.time()))
    with start_stack(sample, real_camera=False) as running:
        running.wait_until("the device has its lists and orders")
        until(lambda: running.orders() == SCANS, what="the device has its orders")
        yield running


def endpoint_of_the_hub(sample) -> Endpoint:
    profile = parse_profile(sample.profile.read_text(encoding="utf-8"))
    assert isinstance(profile, Profile) and profile.mqtt is not None
    return Endpoint(
        host=profile.mqtt.host,
        port=profile.mqtt.port,
        client_id=HUB,
        ca_file=profile.mqtt.ca_file,
        cert_file=str(sample.files.certificate(HUB)),
        key_file=str(sample.files.key(HUB)),
    )


def counted(sample, query: str) -> int:
    with closing(open_for_reading(sample.data)) as store, store.read() as connection:
        return connection.execute(query).fetchone()[0]


def scan(stack, code: str) -> dict:
    stack.scanner.send(show=code, condition="clean")
    line = stack.scanner.wait_for("scan")
    stack.scanner.send(clear=True)
    assert line is not None
    return line


def at_the_hub(sample) -> list[str]:
    command = [program("edge-hub"), "ledger", "--config", str(sample.files.hub_config), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    counted = [row for row in rows if row["type"] == "redeemed" and row["refused"] is None]
    return sorted(row["body"]["cti"] for row in counted)


def test_a_hub_that_floods_a_device_with_lies_refuses_no_customer(stack):
    sample, codes = stack.sample, list(stack.sample.codes.values())
    stack.hub.stop()
    with HostileHub(endpoint_of_the_hub(sample), DEVICE) as hostile:
        reasons = [scan(stack, code)["reason"] for code in codes]
        until(lambda: hostile.sent >= ENOUGH_LIES, what=lambda: f"lies: {hostile.sent}")
    assert reasons == ["accepted"] * SCANS
    assert counted(sample, "SELECT count(*) FROM epoch") <= 1 + epoch_allowance.AT_ONCE
    assert counted(sample, "SELECT count(*) FROM outbox") <= SCANS * (1 + epoch_allowance.AT_ONCE)
    most = exception_cases.MOST_OPEN_CONFLICTS + epoch_allowance.AT_ONCE
    assert counted(sample, "SELECT count(*) FROM exception") <= most
    stack.hub.start()
    data = str(sample.data)
    redeemed = sorted(row["cti"] for row in stack.query("edge-scanner", "ledger", "--data", data))
    until(lambda: at_the_hub(sample) == redeemed, what=lambda: f"the hub has {at_the_hub(sample)}")
