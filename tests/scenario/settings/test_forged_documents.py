"""A flood of forged documents to a real device: nothing on its disk, four lines in its log."""

import json
import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from edge.documents.revocation_order import RevocationOrder, sign_revocation_order
from edge.documents.settings import SettingsDocument, SettingsLayer, sign_settings
from edge.token import cbor
from edge.token.purpose import Purpose
from sync.agent.device_metrics import DEVICE_FILE
from sync.agent.downlink import MOST_DOCUMENTS
from sync.mqtt.session import MqttSession
from tests.support.broker import until
from tests.support.broker_sessions import connected, endpoint, middle, steps_until
from tests.support.fast_timings import QUICK
from tests.support.platform_processes import Platform

TOPIC = "v1/main/kiosk-1/dn/cfg"
# What the device writes on its own at intervals, whatever comes.
REGULAR = {"sync-health.json", DEVICE_FILE}


def forged_settings(keys) -> bytes:
    layer = SettingsDocument(
        tenant="main", layer=SettingsLayer.SITE, name="shop-1", rev=1, content={}
    )
    return sign_settings(layer, keys.signer(Purpose.CONFIGURATION))[:-32] + os.urandom(32)


def forged_order(keys) -> bytes:
    order = RevocationOrder(
        tenant="main",
        device="kiosk-1",
        reason="stolen",
        issued_at_s=int(time.time()),
        recovery_key=bytes(32),
    )
    return sign_revocation_order(order, keys.signer(Purpose.ENROLMENT))[:-32] + os.urandom(32)


def on_disk(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of the last change of each file; a file of the store as its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in REGULAR and not path.name.endswith("-shm"):
            status = path.stat()
            found[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns)
    return found


@pytest.mark.parametrize(
    ("forged", "event"),
    [
        pytest.param(forged_settings, "settings_refused", id="settings"),
        pytest.param(forged_order, "message_refused", id="orders to the device"),
    ],
)
def test_forged_documents_cost_nothing_durable_and_a_log_line_a_tenfold(tmp_path, forged, event):
    messages = 1000 // MOST_DOCUMENTS + 1
    with Platform(tmp_path, {"kiosk-1": "shop-1"}) as platform:
        device = platform.devices["kiosk-1"]
        with device.sync:
            device.redeem()
            device.wait_acknowledged()
            until(lambda: "connected" in device.sync.text, what=device.health)
            platform.hub.kill()
            attacker = MqttSession(
                endpoint(platform.broker, "_hub", client_id="x"),
                ["v1/main/kiosk-1/up/cfg"],
                uniform=middle,
                backoff=QUICK,
            )
            with closing(attacker):
                connected(attacker)
                assert attacker.publish(TOPIC, b"\xff the first")
                steps_until(lambda: '"not_cbor"' in device.sync.text, attacker)
                before, lines = on_disk(device.data), device.sync.text.count("\n")
                reports = 0
                for _ in range(messages):
                    documents = [forged(platform.keys) for _ in range(MOST_DOCUMENTS)]
                    assert attacker.publish(TOPIC, cbor.encode(documents))
                    reports += len(steps_until(lambda: not attacker.unacknowledged, attacker))
                assert attacker.publish(TOPIC, cbor.encode({}))
                reports += len(steps_until(lambda: '"wrong_shape"' in device.sync.text, attacker))
            assert on_disk(device.data) == before
            new = [json.loads(line) for line in device.sync.text.splitlines()[lines:]]
            named = [line for line in new if line.get("reason") == "document_signature_invalid"]
            assert {line["event"] for line in named} == {event}
            assert [line["count"] for line in named] == [1, 10, 100, 1000]
            assert len(new) <= len(named) + 3, "and the link, which has no hub"
            assert reports <= 5
        platform.spy.forget_faults()
