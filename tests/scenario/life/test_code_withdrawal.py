"""One code is withdrawn by command, and comes back: from the register to the device's verdict."""

import json
import signal
import subprocess
import time
from contextlib import closing

import pytest

from edge.store import documents
from sync.fleet.cli import cli as edge_fleet
from sync.register.code_register import FILE, CodeRegister
from tests.support.broker import MOSQUITTO, until
from tests.support.fleet_command import run
from tests.support.platform_processes import BIN, Platform

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Start a platform that publishes no status list yet, with a handheld."""
    with Platform(
        tmp_path_factory.mktemp("shop"), {"hand-1": "shop-1"}, with_status_list=False
    ) as running:
        device = running.devices["hand-1"]
        profile = device.profile.read_text().replace('kind = "kiosk"', 'kind = "handheld"')
        device.profile.write_text(profile)
        assert device.store
        device.sync.start()
        yield running


def issue(shop, *options):
    result = run(
        edge_fleet,
        "issue",
        "--keys",
        shop.keys.path,
        "--kind",
        "pickup",
        "--site",
        "shop-1",
        *options,
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def publish(shop, tmp_path):
    """Build and publish the list; return its version and when the command began."""
    file = tmp_path / "status-list.cbor"
    run(edge_fleet, "status-list", "build", "--keys", shop.keys.path, "-o", file)
    began_s = time.monotonic()
    result = run(edge_fleet, "status-list", "publish", file, "--fleet", shop.fleet_file, "--json")
    return json.loads(result.stdout)["version"], began_s


def until_known(shop, version):
    store = shop.devices["hand-1"].store

    def known():
        kid = shop.keys.folder.signer("token").public.kid
        found = documents.find_document(store, documents.status_list_name(kid))
        return found is not None and found.version >= version

    until(known)


def verdict(shop, token):
    """Return what the device decides on a code that is shown to it."""
    device = shop.devices["hand-1"]
    result = subprocess.run(
        [
            BIN / "edge-scanner",
            "scan",
            "--json",
            "--profile",
            device.profile,
            "--data",
            device.data,
            token,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(result.stdout)["reason"]


def test_a_code_is_good_from_its_day_refused_within_seconds_and_good_again(shop, tmp_path):
    stolen, other = issue(shop, "--order", "A-1", "--revocable", "--count", "2")
    for token in (stolen, other):
        shop.import_orders({"cti": token["cti"], "order_id": "A-1", "kind": "pickup",
                            "home_site": "shop-1", "home_device": "hand-1"})  # fmt: skip
    version, _ = publish(shop, tmp_path)
    until_known(shop, version)

    run(
        edge_fleet,
        "status-list",
        "revoke",
        "--keys",
        shop.keys.path,
        "--cti",
        stolen["cti"],
        "--reason",
        "phone stolen",
        "--by",
        "zoe",
    )
    version, began_s = publish(shop, tmp_path)
    until_known(shop, version)
    assert time.monotonic() - began_s < 60  # a guard; the figure is in the closing words of a run
    print(f"in effect after {time.monotonic() - began_s:.1f} s")
    assert verdict(shop, stolen["token"]) == "revoked"
    until(lambda: verdict(shop, other["token"]) == "accepted")

    run(
        edge_fleet,
        "status-list",
        "restore",
        "--keys",
        shop.keys.path,
        "--cti",
        stolen["cti"],
        "--reason",
        "phone found",
        "--by",
        "zoe",
    )
    version, _ = publish(shop, tmp_path)
    until_known(shop, version)
    assert verdict(shop, stolen["token"]) == "accepted"

    shown = run(
        edge_fleet,
        "status-list",
        "show",
        "--keys",
        shop.keys.path,
        "--cti",
        stolen["cti"],
        "--json",
    )
    changes = json.loads(shown.stdout)["changes"]
    assert [(each["state"], each["by"], each["reason"]) for each in changes] == [
        ("revoked", "zoe", "phone stolen"),
        ("live", "zoe", "phone found"),
    ]


def test_a_second_code_of_a_line_makes_the_first_one_void(shop, tmp_path):
    (first,) = issue(shop, "--order", "A-2", "--line", "1")
    (second,) = issue(shop, "--order", "A-2", "--line", "1")
    for token in (first, second):
        shop.import_orders({"cti": token["cti"], "order_id": "A-2", "kind": "pickup",
                            "home_site": "shop-1", "home_device": "hand-1"})  # fmt: skip
    version, _ = publish(shop, tmp_path)
    until_known(shop, version)
    assert verdict(shop, first["token"]) == "revoked"
    until(lambda: verdict(shop, second["token"]) == "accepted")


def test_an_older_list_and_a_forged_one_change_nothing(shop, tmp_path):
    old = tmp_path / "old.cbor"
    run(edge_fleet, "status-list", "build", "--keys", shop.keys.path, "-o", old)
    publish(shop, tmp_path)
    refused = run(
        edge_fleet, "status-list", "publish", old, "--fleet", shop.fleet_file, exit_code=1
    )
    assert "newer list" in refused.stderr
    forged = tmp_path / "forged.cbor"
    forged.write_bytes(old.read_bytes()[:-1] + bytes([old.read_bytes()[-1] ^ 1]))
    refused = run(
        edge_fleet, "status-list", "publish", forged, "--fleet", shop.fleet_file, exit_code=1
    )
    assert "cannot verify" in refused.stderr


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_no_token_is_out_without_a_record_however_the_command_ends(shop, scoreboard, kills):
    """Kill the command while it prints, and look every printed token up."""
    for _ in range(scoreboard.size(kills)):
        command = subprocess.Popen(
            [
                BIN / "edge-fleet",
                "issue",
                "--keys",
                shop.keys.path,
                "--kind",
                "pickup",
                "--site",
                "shop-1",
                "--order",
                "K-1",
                "--revocable",
                "--count",
                "5000",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [command.stdout.readline() for _ in range(700)]
        command.send_signal(signal.SIGKILL)
        rest = command.stdout.read().splitlines()
        command.wait()
        with closing(CodeRegister(shop.keys.path / FILE)) as register:
            known = {record.cti.hex() for record in register.records(order_id="K-1")}
        printed = [
            json.loads(line)["cti"] for line in [*lines, *rest] if line.endswith(("}", "}\n"))
        ]
        lost = [cti for cti in printed if cti not in known]
        scoreboard.count("kills", broken=len(lost))
        assert len(printed) >= 700
        assert lost == []
