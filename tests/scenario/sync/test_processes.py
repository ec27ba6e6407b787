"""Platform and devices as real processes over a real broker: after any kill the ledgers agree."""

import json
import os
import random
import sqlite3
import subprocess
import time

import pytest

from edge.domain.order_row import row_of
from edge.store import documents, exception_cases, order_cache
from edge.system.health import write_health
from edge.token import cbor
from edge.token.purpose import Purpose
from edge.token.signed_document import sign_document
from edge.token.trust_list import sign_trust_list
from sync.fleet.key_folder import create_key_folder
from sync.hub.fleet import queries
from sync.mqtt.session import MqttSession
from sync.wire.order_feed import Delta, Snapshot, page_payload
from sync.wire.topics import Down, Topic
from tests.support.broker import until
from tests.support.broker_sessions import answered, connected, endpoint, middle
from tests.support.fast_timings import QUICK
from tests.support.platform_processes import BIN, Platform

DEVICES = {"kiosk-1": "shop-1", "kiosk-2": "shop-1", "kiosk-3": "shop-1"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """One platform for all of these; each test has its own device where it kills things."""
    with Platform(tmp_path_factory.mktemp("platform"), DEVICES) as running:
        yield running


def order(cti: bytes, **changes) -> dict:
    return {"cti": cti.hex(), "order_id": "A-1", "kind": "pickup", "home_site": "shop-1", **changes}


def kinds(device) -> list[str]:
    return [case.kind for case in exception_cases.cases(device.store)]


def version_of(device, name: str) -> int:
    kept = documents.find_document(device.store, name)
    return kept.version if kept else 0


def assert_ledgers_agree(platform: Platform, name: str) -> None:
    device = platform.devices[name]
    mine = device.ledger()
    assert mine
    assert platform.ledger(name) == mine


def test_what_is_redeemed_with_no_network_arrives_when_there_is_one(platform):
    device = platform.devices["kiosk-1"]
    for _ in range(150):
        device.redeem()
    with device.sync:
        device.wait_acknowledged()
        device.redeem()
        device.wait_acknowledged()
    assert_ledgers_agree(platform, "kiosk-1")


def test_kills_of_every_process_lose_nothing_and_double_nothing(platform):
    """The scanner keeps redeeming while sync, the hub and the broker are killed (laws 2 and 7)."""
    device, chance = platform.devices["kiosk-2"], random.Random(7)
    device.sync.start()
    victims = [device.sync, platform.hub, platform.broker, device.sync, platform.hub]
    for victim in victims:
        for _ in range(40):
            device.redeem()
        time.sleep(chance.uniform(0.0, 0.25))
        victim.kill()
        for _ in range(10):
            device.redeem()
        victim.start()
    device.wait_acknowledged()
    device.sync.stop()
    assert len(device.ledger()) == 250
    assert_ledgers_agree(platform, "kiosk-2")


def test_a_broker_that_lost_its_store_is_filled_again(platform):
    """Nothing that the broker stores is needed: hub and device publish everything again."""
    device = platform.devices["kiosk-1"]
    with device.sync:
        device.wait_acknowledged()
        platform.broker.kill()
        (platform.broker.files.folder / "broker-data" / "mosquitto.db").unlink(missing_ok=True)
        device.redeem()
        until(lambda: device.health().get("link") == "broker_unreachable", what=device.health)
        platform.publish(platform.trust_file, platform.keys.trust_list(2))
        platform.broker.start()
        device.wait_acknowledged()
        until(lambda: version_of(device, documents.TRUST_LIST) == 2, what="the new trust list")
    assert_ledgers_agree(platform, "kiosk-1")


def test_orders_come_as_a_snapshot_and_then_as_changes(platform):
    device = platform.devices["kiosk-1"]
    ctis = [os.urandom(16) for _ in range(1203)]
    platform.import_orders(*[order(cti) for cti in ctis])
    with device.sync:
        until(lambda: order_cache.count(device.store) == 1203, what="the snapshot in three pages")
        platform.import_orders(
            order(ctis[0], status="cancelled"), order(ctis[1], home_site="shop-2")
        )
        until(
            lambda: order_cache.find(device.store, ctis[1]) is None, what="a row that left the site"
        )
        assert order_cache.find(device.store, ctis[0]).status == "cancelled"
        assert order_cache.count(device.store) == 1202
    platform.import_orders(order(ctis[2], status="refunded"))  # while the device is away
    with device.sync:
        until(
            lambda: order_cache.find(device.store, ctis[2]).status == "refunded",
            what="what changed while it was away",
        )
    assert abs(order_cache.feed_state(device.store).last_contact_s - time.time()) < 60


def test_a_revocation_reaches_the_device_within_seconds(platform):
    device = platform.devices["kiosk-1"]
    name = documents.status_list_name(platform.keys.signer(Purpose.TOKEN).public.kid)
    with device.sync:
        until(lambda: documents.find_document(device.store, name), what="the first status list")
        platform.publish(platform.status_file, platform.keys.status_list(2, revoked=[5]))
        until(lambda: version_of(device, name) == 2, what="the new status list")


def test_a_scanner_that_dies_is_shown_at_the_platform_within_seconds(platform):
    device = platform.devices["kiosk-1"]

    def shown():
        with platform.hub_store() as store, store.read() as connection:
            return (queries.device_state(connection, "kiosk-1")["health"] or {}).get("scanner")

    def scans():
        write_health(
            device.data / "health.json",
            {"state": "scanning", "problems": {}, "at_s": time.time(), "clock": "trusted"},
        )
        return shown() == "scanning"

    assert device.store
    device.sync.start()
    until(scans)
    until(lambda: shown() == "silent")
    until(scans)


def test_a_refused_event_is_set_aside_and_the_next_is_sent(platform):
    device = platform.devices["kiosk-1"]
    before = len(exception_cases.cases(device.store))
    with device.sync:
        device.redeem(body={"cti": "not a cti"})
        device.redeem()
        device.wait_acknowledged()
    (case,) = exception_cases.cases(device.store)[before:]
    assert case.kind == "upload_refused"
    assert_ledgers_agree(platform, "kiosk-1")


def test_one_voucher_redeemed_at_two_devices_is_reported_to_both(platform):
    cti = os.urandom(16)
    platform.import_orders(order(cti, kind="write_off"))
    first, second = platform.devices["kiosk-1"], platform.devices["kiosk-3"]
    first.redeem(cti)
    second.redeem(cti)
    with first.sync, second.sync:
        for device in (first, second):
            until(
                lambda d=device: (
                    "platform_conflict" in [case.kind for case in exception_cases.cases(d.store)]
                ),
                what="reported",
            )


def test_nothing_that_is_not_signed_changes_anything(platform, tmp_path):
    """Not even with the hub's certificate at the broker can an attacker change what is accepted."""
    device, keys = platform.devices["kiosk-1"], platform.keys
    stranger = create_key_folder(
        tmp_path / "stranger", keys.record, issuer_alg="Ed25519", group_key=bytes(32)
    )
    cti, now_s = os.urandom(16), int(time.time())
    from sync.hub.orders.order_lines import OrderLine

    row = (row_of(OrderLine(**order(cti)).entitlement()),)
    with device.sync:
        platform.publish(platform.trust_file, keys.trust_list(3))
        until(lambda: version_of(device, documents.TRUST_LIST) == 3, what="the trust list")
        until(lambda: order_cache.feed_state(device.store).revision, what="orders")
        state = order_cache.feed_state(device.store)
        revision, place = state.revision, {"incarnation": state.incarnation}
        delta = Delta(
            site="shop-1",
            issued_at_s=now_s,
            **place,
            from_revision=revision,
            to_revision=revision + 1,
            head=revision + 1,
            rows=row,
            removed=(),
            digest=bytes(32),
        )
        place |= {"issued_at_s": now_s, "revision": 1, "page": 0, "last": True}
        old = Snapshot(site="shop-1", **place, rows=row)
        feed_key = keys.signer(Purpose.ORDER_FEED)
        good = sign_document(page_payload(delta), Purpose.ORDER_FEED, feed_key)
        other_site = page_payload(Snapshot(site="shop-2", **place, rows=()))
        trust = keys.trust_list(1)
        forged_trust = sign_trust_list(
            _trust(keys, version=99), stranger.signer("root"), stranger.roots()
        )
        attacks = {
            "document_key_unknown": (
                Down.ORDERS,
                sign_document(
                    page_payload(delta), Purpose.ORDER_FEED, stranger.signer(Purpose.ORDER_FEED)
                ),
            ),
            "document_signature_invalid": (Down.ORDERS, good[:-1] + bytes([good[-1] ^ 1])),
            "document_key_purpose": (
                Down.ORDERS,
                sign_document(
                    page_payload(delta), Purpose.ORDER_FEED, keys.signer(Purpose.STATUS_LIST)
                ),
            ),
            "document_malformed": (Down.ORDERS, b"\x00junk"),
            "wrong_shape": (Down.ORDERS, sign_document({1: 9}, Purpose.ORDER_FEED, feed_key)),
            "wrong_site": (Down.ORDERS, sign_document(other_site, Purpose.ORDER_FEED, feed_key)),
            "orders_rollback": (
                Down.ORDERS,
                sign_document(page_payload(old), Purpose.ORDER_FEED, feed_key),
            ),
            "document_rollback": (Down.TRUST, trust),
            "not_json": (Down.ACK, b"\xff"),
            "not_cbor": (Down.REVOKED, b"\xff"),
        }
        attacker = MqttSession(
            endpoint(platform.broker, "_hub", client_id="x"),
            ["v1/x"],
            uniform=middle,
            backoff=QUICK,
        )
        platform.hub.kill()
        connected(attacker)
        # The broker passes on in order: once this is counted, nothing of the hub is on its way.
        assert attacker.publish(str(Topic("main", "kiosk-1", Down.ACK)), b'{"v":2}')
        until(
            lambda: device.health()["refused_messages"].get("version_unknown"), what=device.health
        )
        before = _known(device)
        for channel, payload in [
            (Down.TRUST, forged_trust),
            (Down.REVOKED, cbor.encode([trust])),
            *attacks.values(),
        ]:
            assert attacker.publish(str(Topic("main", "kiosk-1", channel)), payload)
        answered(attacker)
        attacker.close()
        until(
            lambda: set(attacks) <= set(device.health().get("refused_messages", {})),
            what=device.health,
        )
        assert _known(device) == before
        assert order_cache.find(device.store, cti) is None
        platform.hub.start()
        device.redeem()
        device.wait_acknowledged()  # and the loop lives on
    platform.spy.forget_faults()


def _trust(keys, version):
    from edge.token.trust_list import open_trust_list
    from edge.values.instant import Instant

    trust = open_trust_list(
        keys.trust_list(version), roots=keys.roots(), now=Instant(unix_s=int(time.time()))
    )
    assert trust.version == version
    return trust


def _known(device) -> tuple:
    kept = [
        (found.name, found.version, found.raw)
        for found in documents.documents_named(device.store, "")
    ]
    return kept, order_cache.feed_state(device.store).revision, order_cache.count(device.store)


def test_the_hub_counts_what_is_wrong_and_continues(platform):
    attacker = MqttSession(
        endpoint(platform.broker, "kiosk-1"), ["v1/x"], uniform=middle, backoff=QUICK
    )
    connected(attacker)
    for channel in ("evt", "req", "status"):
        for payload in (
            b"",
            b"\xff",
            b"{}",
            b"[]",
            b'{"v":2}',
            b'{"v":1,"dev":"kiosk-2"}',
            b"[" * 50_000,
        ):
            assert attacker.publish(f"v1/main/kiosk-1/up/{channel}", payload)
    answered(attacker)
    attacker.close()
    until(
        lambda: '"wrong_shape"' in platform.hub.text and '"not_json"' in platform.hub.text,
        what="named in the log",
    )
    device = platform.devices["kiosk-1"]
    device.redeem()
    with device.sync:
        device.wait_acknowledged()
    assert "Traceback" not in platform.hub.text
    platform.spy.forget_faults()


def links(process) -> list[str]:
    """Return the states of the connection, as a process logged them."""
    lines = [json.loads(text) for text in process.text.splitlines()]
    return [line["state"] for line in lines if line["event"] == "link"]


def test_the_log_has_a_line_for_a_change_of_state_and_none_for_a_retry(platform):
    """At both ends: the broker goes, both try again and again, it comes back."""
    device, hub = platform.devices["kiosk-3"], platform.hub
    with device.sync:
        device.redeem()
        device.wait_acknowledged()  # by this process: an earlier one has written to the same log
        until(lambda: links(device.sync)[-1] == "connected", what=lambda: device.sync.text)
        ends = [
            (device.sync, lambda: device.metric("edge_sync_connections_total")),
            (hub, lambda: platform.metric("edge_hub_connections_total")),
        ]
        before = [(len(links(process)), process.text.count("\n")) for process, _ in ends]
        platform.broker.kill()
        for process, connections in ends:
            until(
                lambda of=process: links(of)[-1] == "broker_unreachable",
                what=lambda of=process: of.text[-900:],
            )
            tried, lines = connections(), process.text.count("\n")
            until(lambda of=connections, n=tried: of() >= n + 5, what="it tries again and again")
            assert process.text.count("\n") == lines
        platform.broker.start()
        for (process, _), (states, lines) in zip(ends, before, strict=True):
            until(
                lambda of=process: links(of)[-1] == "connected",
                what=lambda of=process: of.text[-900:],
            )
            assert links(process)[states:] in (
                ["connection_lost", "broker_unreachable", "connected"],
                ["broker_unreachable", "connected"],
            )
            assert process.text.count("\n") - lines <= 4  # and what came with the connection, once


def test_a_hub_that_does_not_reply_is_one_line_however_often_it_is_asked(platform):
    device = platform.devices["kiosk-3"]
    with device.sync:
        device.redeem()
        device.wait_acknowledged()  # by this process: an earlier one has written to the same log
        until(lambda: links(device.sync)[-1] == "connected", what=lambda: device.sync.text[-900:])
        before = len(links(device.sync))
        platform.hub.kill()
        device.redeem()
        until(
            lambda: links(device.sync)[-1] == "hub_not_replying",
            what=lambda: device.sync.text[-900:],
        )
        sent, lines = platform.spy.counts["device.up.evt"], device.sync.text.count("\n")
        until(
            lambda: platform.spy.counts["device.up.evt"] >= sent + 3,
            what="it sends again and again",
        )
        assert device.sync.text.count("\n") == lines
        platform.hub.start()
        device.wait_acknowledged()
        until(lambda: links(device.sync)[-1] == "connected", what=lambda: device.sync.text[-900:])
    assert links(device.sync)[before:][:3] == ["replies_slow", "hub_not_replying", "connected"]


def test_the_commands_say_what_is_wrong_without_a_traceback(platform, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"cti": "x"}\n')
    (tmp_path / "no-mqtt.toml").write_text(
        '[device]\nid = "k"\nsite = "s"\nkind = "kiosk"\n'
        f'[trust]\nroots_file = "{platform.folder / "roots.cbor"}"\n'
    )
    for command, word in [
        (["edge-hub", "run", "--config", "/nowhere.toml"], "/nowhere.toml"),
        (
            [
                "edge-hub",
                "orders",
                "import",
                "--config",
                platform.config,
                str(tmp_path / "bad.jsonl"),
            ],
            "line 1",
        ),
        (["edge-sync", "run", "--profile", "/nowhere.toml"], "cannot be read"),
        (
            [
                "edge-sync",
                "run",
                "--profile",
                str(tmp_path / "no-mqtt.toml"),
                "--data",
                str(tmp_path),
            ],
            "[mqtt]",
        ),
    ]:
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 1, command
        assert word in done.stderr
        assert "Traceback" not in done.stderr


def test_the_hubs_store_is_sound_and_holds_no_event_twice(platform):
    with platform.devices["kiosk-1"].sync:
        platform.devices["kiosk-1"].redeem()
        platform.devices["kiosk-1"].wait_acknowledged()
    path = platform.broker.files.folder / "hub-data" / "hub.db"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        doubles = "SELECT count(*) - count(DISTINCT id) FROM event WHERE id <> ''"
        assert connection.execute(doubles).fetchone() == (0,)
