"""The conformance command: our own ends pass it, and it names what a careless end does wrong."""

import json
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest

from edge.domain.authorisation import AuthorisationResult
from sync.hub.orders import hold
from sync.mqtt.backoff import Backoff
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import Ack, Batch, Event, GrantRequest, Response, Status
from sync.wire.topics import Down, Topic, Up, hub_filters, parse_topic
from tests.support.broker import until
from tests.support.platform_processes import BIN, Platform

DEVICES = {"kiosk-1": "shop-1", "probe-1": "shop-1", "probe-2": "shop-1"}
CTI = "00112233445566778899aabbccddeeff"
REDEEMED = {
    "cti": CTI,
    "order": "A-1",
    "kind": "write_off",
    "use": 1,
    "units": 1,
    "verdict": "accepted_pending_review",
    "kid": "6b657931",
}
REVIEWED = {
    "cti": CTI,
    "order": "A-1",
    "use": 1,
    "redemption_event": "01890c8f-0000-7000-8000-000000000001",
    "state": "approved",
    "reason": "",
    "operator": "platform:zoe",
}
QUICK = Backoff(floor_s=0.02, cap_s=0.1)


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with Platform(tmp_path_factory.mktemp("conformance"), DEVICES) as running:
        orders = [
            {"cti": f"{number:032x}", "order_id": "A", "kind": "pickup", "home_site": "shop-1"}
            for number in range(1203)
        ]
        running.import_orders(*orders)
        yield running
        running.spy.forget_faults()  # the checks send wrong messages, on purpose


def check(platform: Platform, kind: str, device: str, identity: str, *options: str):
    files = platform.broker.files
    facts = {
        "device": device,
        "port": platform.broker.site.port,
        "ca": files.ca,
        "cert": files.certificate(identity),
    }
    named = [
        word
        for name, value in {**facts, "key": files.key(identity)}.items()
        for word in (f"--{name}", str(value))
    ]
    command = [str(BIN / "edge-fleet"), "conformance", kind, *named, "--json", *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return (
        done.returncode,
        {each["check"]: each["fault"] for each in found if not each["ok"]},
        len(found),
    )


def test_our_hub_keeps_to_the_protocol(platform):
    roots = str(platform.folder / "roots.cbor")
    options = ("--site", "shop-1", "--roots", roots, *grant_options(platform))
    code, faults, count = check(platform, "hub", "probe-1", "probe-1", *options)
    assert faults == {}
    assert (code, count) == (0, 24)
    with platform.hub_store() as store, store.transaction() as connection:
        assert hold.is_held(connection), "it was told of orders that it does not have"
        hold.resume(connection, by="zoe", reason="that was a check", now_s=int(time.time()))


def grant_options(platform):
    """Return the options of a second device, and an entitlement that both request."""
    files = platform.broker.files
    return (
        "--cti",
        f"{7:032x}",
        "--other",
        "probe-2",
        "--other-cert",
        str(files.certificate("probe-2")),
        "--other-key",
        str(files.key("probe-2")),
    )


def test_a_hub_that_releases_a_grant_on_any_empty_batch_is_named(platform):
    """It takes any batch without events for the end of a grant, the error that redeems twice."""
    session = MqttSession(
        platform.broker.endpoint("_hub"), hub_filters("main"), uniform=min, backoff=QUICK
    )
    holders = set()

    def careless(arrival):
        dev, channel = parse_topic(arrival.topic).node, parse_topic(arrival.topic).channel
        if channel is Up.EVENTS and isinstance(
            batch := codec.decode_batch(arrival.payload, dev=dev), Batch
        ):
            holders.discard(dev)
            ack = Ack(dev=dev, epoch=batch.epoch, committed_through=0, tag=batch.tag)
            session.publish(str(Topic("main", dev, Down.ACK)), codec.encode(ack))
        request = codec.decode_request(arrival.payload, dev=dev)
        if channel is Up.REQUEST and isinstance(request, GrantRequest):
            result = AuthorisationResult.HELD if holders - {dev} else AuthorisationResult.GRANTED
            holders.update({dev} if result is AuthorisationResult.GRANTED else ())
            response = Response(dev=dev, id=request.id, result=result)
            session.publish(str(Topic("main", dev, Down.RESPONSE)), codec.encode(response))

    platform.hub.stop()
    try:
        with playing(session, careless):
            until(lambda: session.connected)
            options = ("--site", "shop-1", "--reply", "0.5", *grant_options(platform))
            code, faults, _ = check(platform, "hub", "probe-1", "probe-1", *options)
    finally:
        platform.hub.start()
    assert code == 1
    assert "Grant a request, and hold the grant against other devices" not in faults
    assert "Release no grant by a batch that names no request" in faults


def test_grants_are_checked_with_two_devices_or_not_at_all(platform):
    files = platform.broker.files
    command = [
        str(BIN / "edge-fleet"),
        "conformance",
        "hub",
        "--device",
        "probe-1",
        "--site",
        "shop-1",
        "--ca",
        files.ca,
    ]
    command += [
        "--cert",
        files.certificate("probe-1"),
        "--key",
        files.key("probe-1"),
        "--cti",
        "00" * 16,
    ]
    done = subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True
    )
    assert (done.returncode, "--other-key together" in done.stderr) == (2, True)


@pytest.mark.slow
def test_our_device_keeps_to_the_protocol(platform):
    device = platform.devices["kiosk-1"]
    device.redeem(body=REDEEMED)
    device.redeem(type="review", body=REVIEWED)
    platform.hub.stop()
    try:
        with device.sync:
            device.redeem(body=REDEEMED | {"use": 2})
            code, faults, count = check(platform, "device", "kiosk-1", "_hub")
    finally:
        platform.hub.start()
    assert faults == {}
    assert (code, count) == (0, 13)


@contextmanager
def playing(session: MqttSession, hear):
    """Run another end of the protocol in a thread."""
    stop = threading.Event()

    def listen():
        while not stop.is_set():
            for arrival in session.step(0.02):
                session.acknowledge(arrival)
                hear(arrival)

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        session.close()


def test_a_hub_that_acknowledges_beyond_a_gap_is_named(platform):
    """It acknowledges each batch with its last number, the error that loses events."""
    session = MqttSession(
        platform.broker.endpoint("_hub"), hub_filters("main"), uniform=min, backoff=QUICK
    )

    def careless(arrival):
        topic = parse_topic(arrival.topic)
        if topic.channel is not Up.EVENTS:
            return
        batch = codec.decode_batch(arrival.payload, dev=topic.node)
        if isinstance(batch, Batch) and batch.events:
            last = batch.events[-1].seq
            ack = Ack(
                dev=topic.node,
                epoch=batch.epoch,
                committed_through=last,
                first=batch.events[0].seq,
                last=last,
                tag=batch.tag,
            )
            session.publish(str(Topic("main", topic.node, Down.ACK)), codec.encode(ack))

    platform.hub.stop()
    try:
        with playing(session, careless):
            until(lambda: session.connected)
            code, faults, _ = check(
                platform, "hub", "probe-1", "probe-1", "--site", "shop-1", "--reply", "0.5"
            )
    finally:
        platform.hub.start()
    assert code == 1
    assert (
        "committed_through is 7, not 3"
        in faults["Acknowledge up to the first gap, and beyond it when it is filled"]
    )
    assert "Refuse another event under a number that is taken" in faults
    assert "Acknowledge a batch once it is durable, and name its numbers" not in faults


@pytest.mark.slow
def test_a_device_that_reports_once_and_forgets_is_named(platform):
    """It takes the broker's PUBACK for the platform's, the error that loses redemptions."""
    session = MqttSession(
        platform.broker.endpoint("probe-2"), ["v1/main/probe-2/dn/#"], uniform=min, backoff=QUICK
    )
    event = Event(seq=1, id="x", ts=1, ts_trust="trusted", type="redeemed", body={})
    sent = []

    def say(channel, payload, **how):
        session.publish(str(Topic("main", "probe-2", channel)), payload, **how)

    def careless(arrival):
        if parse_topic(arrival.topic).channel is Down.COMMAND:
            say(
                Up.STATUS,
                codec.encode(Status(dev="probe-2", state="online", epoch="e")),
                retain=True,
            )
            events = [] if sent else [codec.encode_event(event)]
            say(Up.EVENTS, codec.encode_batch("probe-2", "e", len(sent), 0, events))
            sent.extend(events)

    platform.hub.stop()
    try:
        with playing(session, careless):
            until(lambda: session.connected)
            say(
                Up.STATUS,
                codec.encode(Status(dev="probe-2", state="online", epoch="e")),
                retain=True,
            )
            code, faults, _ = check(
                platform, "device", "probe-2", "_hub", "--reply", "0.5", "--first", "2"
            )
    finally:
        platform.hub.start()
    assert code == 1
    assert faults["Send again, unchanged, what is not acknowledged"]
    assert faults["Request its orders"] == "it does not"


def test_a_broker_that_is_not_there_ends_the_command(platform):
    code, _, count = check(platform, "hub", "probe-1", "probe-1", "--site", "shop-1", "--port", "1")
    assert (code, count) == (1, 0)
