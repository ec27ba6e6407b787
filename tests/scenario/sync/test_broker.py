"""The shipped broker's configuration and our session, with real clients over TLS 1.3."""

import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from hardware_sim.faults.mqtt_proxy import NetworkFault, Proxy, ProxyIdentity
from hardware_sim.world.free_ports import free_port

from edge.system.durable_file import write_secret
from edge.values.node_name import OPS
from sync.fleet.fleet_file import load_fleet_file
from sync.fleet.hub_client import HubClient
from sync.hub.pki.certificate_authority import (
    issue_client,
    load_certificate_authority,
    new_certificate_authority,
)
from sync.hub.provisioning.platform import provision
from sync.mqtt.connection import MqttConnection
from sync.mqtt.endpoint import LinkState, Will
from sync.mqtt.session import MqttSession
from sync.wire.fleet_requests import FleetAction
from tests.support.broker import CEILING_S, Broker, until
from tests.support.broker_sessions import (
    DEVICES,
    answered,
    connected,
    endpoint,
    middle,
    received_through,
    steps_until,
    topics,
)
from tests.support.fast_timings import QUICK
from tests.support.platform_processes import Platform


@pytest.fixture(scope="module")
def platform_with_hub(tmp_path_factory):
    with Platform(tmp_path_factory.mktemp("platform"), DEVICES) as running:
        yield running


@contextmanager
def client(broker: Broker, name: str, *filters: str, connect_timeout_s: float = 5.0, **changes):
    session = MqttSession(
        endpoint(broker, name, **changes),
        list(filters) or ["v1/x"],
        uniform=middle,
        backoff=QUICK,
        connect_timeout_s=connect_timeout_s,
    )
    try:
        yield session
    finally:
        session.close()


def test_a_device_reads_only_messages_to_it_its_site_and_the_fleet(broker):
    received = ["v1/main/kiosk-1/dn/ack", "v1/main/site-shop-1/dn/ord", "v1/main/_all/dn/trust"]
    others = ["v1/main/kiosk-2/dn/ack", "v1/main/site-shop-2/dn/ord", "v1/other/kiosk-1/dn/ack"]
    with (
        client(broker, "kiosk-1", "#", "v1/+/+/dn/#", "$SYS/#") as device,
        client(broker, "_hub") as hub,
    ):
        connected(device)
        connected(hub)
        for topic in (*others, *received):
            assert hub.publish(topic, b"x")
        assert set(topics(received_through(received[-1], device, hub))) == set(received)


def test_a_device_writes_only_as_itself_and_only_upwards(broker):
    mine, others = (
        "v1/main/kiosk-1/up/evt",
        ["v1/main/kiosk-2/up/evt", "v1/main/kiosk-1/dn/ack", "v1/main/_all/dn/trust"],
    )
    with (
        client(broker, "kiosk-1") as device,
        client(broker, "_hub", "v1/main/+/up/#") as hub,
        client(broker, "kiosk-2", "v1/main/_all/dn/#", "v1/main/kiosk-2/#") as neighbour,
    ):
        for session in (device, hub, neighbour):
            connected(session)
        for topic in (*others, mine):
            assert device.publish(topic, b"x")
        assert topics(received_through(mine, device, hub)) == [mine]
        answered(device)
        assert device.refused_publishes == len(others)  # and it is reported
        assert hub.publish("v1/main/kiosk-2/dn/cmd", b"the last")
        assert topics(received_through("v1/main/kiosk-2/dn/cmd", hub, neighbour)) == [
            "v1/main/kiosk-2/dn/cmd"
        ]


def test_a_device_cannot_push_another_off_by_taking_its_name(broker):
    with (
        client(broker, "kiosk-1") as first,
        client(broker, "kiosk-2", client_id="kiosk-1") as second,
    ):
        connected(first)
        connected(second)
        assert first.publish("v1/main/kiosk-1/up/tel", b"x") and second.publish(
            "v1/main/kiosk-2/up/tel", b"x"
        )
        answered(first, second)
        assert first.connected and second.connected
        assert first.connections == 1


@contextmanager
def ending(broker: Broker, name: str, *, names_takeover: bool):
    """Yield the port of a broker that pushes a client off in one way or the other."""
    files = broker.files
    identity = ProxyIdentity(
        ca_file=files.ca,
        server=(files.certificate("broker"), files.key("broker")),
        client=(files.certificate(name), files.key(name)),
    )
    with Proxy(broker.site.port, identity=identity) as proxy:
        proxy.fault = NetworkFault(names_takeover=names_takeover)
        yield proxy.port


@pytest.mark.parametrize(
    ("names_takeover", "link"),
    [
        pytest.param(False, LinkState.LOST, id="closed without a DISCONNECT"),
        pytest.param(True, LinkState.IDENTITY_TAKEN, id="session taken over"),
    ],
)
def test_a_device_pushed_off_by_its_double_takes_its_place_back_after_a_delay(
    broker, names_takeover, link
):
    """Mosquitto 2.0.11 closes the connection, 2.0.21 gives a reason. The hub names the double."""
    with (
        ending(broker, "kiosk-1", names_takeover=names_takeover) as port,
        client(broker, "kiosk-1", port=port) as first,
        client(broker, "kiosk-1", port=port) as second,
    ):
        connected(first)
        connected(second)
        steps_until(lambda: first.link is not LinkState.CONNECTED, first)
        assert first.link is link
        connected(first)
        steps_until(lambda: not second.connected, second)
        assert first.failures == 1
        assert second.failures == 1


@pytest.mark.parametrize("names_takeover", [False, True])
def test_two_edge_fleet_commands_at_once_take_turns_with_the_one_identity(
    platform_with_hub, names_takeover
):
    """The longest delay is 2 s here; for a device with a double it would be 2 minutes."""
    place = load_fleet_file(platform_with_hub.broker.files.fleet_config)
    with ending(platform_with_hub.broker, OPS, names_takeover=names_takeover) as port:
        place = replace(place, endpoint=replace(place.endpoint, port=port))
        watching, asking = (HubClient(place, uniform=max) for _ in range(2))
        with closing(watching), closing(asking):
            watching.connect()
            asking.connect()
            assert asking.request(FleetAction.DEVICES, after="")["devices"] is not None
            assert watching.request(FleetAction.DEVICES, after="")["devices"] is not None


def test_a_certificate_of_another_authority_is_refused_by_name(broker, tmp_path):
    stranger = issue_client(
        new_certificate_authority("stranger", now_s=int(time.time())),
        "kiosk-1",
        now_s=int(time.time()),
    )
    (tmp_path / "c.pem").write_bytes(stranger.certificate_pem)
    write_secret(tmp_path / "k.pem", stranger.key_pem)
    files = {"cert_file": str(tmp_path / "c.pem"), "key_file": str(tmp_path / "k.pem")}
    with client(broker, "kiosk-1", **files) as session:
        steps_until(lambda: session.link is LinkState.CERTIFICATE_REFUSED, session)


def test_an_expired_certificate_is_refused_by_name(broker, tmp_path):
    """The broker checks the clock; the device learns what is wrong with it."""
    long_ago = int(time.time()) - 400 * 86_400
    files = provision(tmp_path / "old", broker.site, None, now_s=long_ago)
    ca = (broker.files.ca.read_bytes(), broker.files.key("ca").read_bytes())
    old = issue_client(load_certificate_authority(*ca), "kiosk-1", now_s=long_ago, days=30)
    files.certificate("kiosk-1").write_bytes(old.certificate_pem)
    write_secret(files.key("kiosk-1"), old.key_pem)
    paths = {"cert_file": str(files.certificate("kiosk-1")), "key_file": str(files.key("kiosk-1"))}
    with client(broker, "kiosk-1", **paths) as session:
        steps_until(lambda: session.link is LinkState.CERTIFICATE_REFUSED, session)
        assert "expired" in session.detail


def test_a_broker_that_another_authority_vouches_for_is_not_trusted(broker, tmp_path):
    (tmp_path / "ca.pem").write_bytes(
        provision(tmp_path / "other", broker.site, None, now_s=int(time.time())).ca.read_bytes()
    )
    with client(broker, "kiosk-1", ca_file=str(tmp_path / "ca.pem")) as session:
        steps_until(lambda: session.link is LinkState.BROKER_UNTRUSTED, session)


def test_a_broker_under_another_name_is_not_trusted(broker):
    """The certificate is the broker's own, but does not name the address that is used."""
    with (
        Proxy(broker.site.port, host="127.0.0.2") as proxy,
        client(broker, "kiosk-1", host="127.0.0.2", port=proxy.port) as session,
    ):
        steps_until(lambda: session.link is LinkState.BROKER_UNTRUSTED, session)


@pytest.mark.parametrize("missing", ["ca_file", "cert_file", "key_file"])
def test_credentials_that_are_missing_are_named_with_their_file(broker, missing):
    with client(broker, "kiosk-1", **{missing: "/nowhere/file.pem"}) as session:
        session.step(0.01)
        assert session.link is LinkState.CREDENTIALS_UNUSABLE
        assert "/nowhere/file.pem" in session.detail


def test_an_unreachable_broker_is_named_and_tried_again(broker):
    with client(broker, "kiosk-1", port=free_port()) as session:
        steps_until(lambda: session.connections >= 3, session)
        assert session.link is LinkState.UNREACHABLE


def test_the_broker_speaks_tls_1_3_alone(broker):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(str(broker.files.ca))
    context.load_cert_chain(
        str(broker.files.certificate("kiosk-1")), str(broker.files.key("kiosk-1"))
    )
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", broker.site.port)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_what_was_not_acknowledged_to_the_broker_is_gone_and_what_is_retained_comes_again(broker):
    """A document that was not acknowledged is retained and comes with the next connection."""
    with client(broker, "_hub") as hub, client(broker, "kiosk-1", "v1/main/_all/dn/#") as device:
        connected(hub)
        connected(device)
        assert hub.publish("v1/main/_all/dn/trust", b"list", retain=True)
        answered(hub)
        until(
            lambda: topics(device.step(0.05)) == ["v1/main/_all/dn/trust"]
        )  # and not acknowledged
        device.give_up(LinkState.LOST)
        again = received_through("v1/main/_all/dn/trust", device)  # it comes with the connection
        assert [(arrival.payload, arrival.retained) for arrival in again] == [(b"list", True)]
        assert hub.publish("v1/main/_all/dn/trust", b"", retain=True)
        answered(hub)


def test_nothing_is_queued_while_there_is_no_connection(broker):
    """The library alone would queue it, report a failure, and send it twice."""
    with client(broker, "_hub", "v1/main/+/up/#") as hub, client(broker, "kiosk-1") as device:
        connected(hub)
        assert not device.publish("v1/main/kiosk-1/up/evt", b"too early")
        connected(device)
        device.give_up(LinkState.LOST)
        assert not device.publish("v1/main/kiosk-1/up/evt", b"too late")
        connected(device)
        assert device.publish("v1/main/kiosk-1/up/evt", b"now")
        received = received_through("v1/main/kiosk-1/up/evt", hub, device)
        assert [arrival.payload for arrival in received] == [b"now"]


def test_the_window_is_ours(broker):
    with client(broker, "kiosk-1", window=3) as device:
        connected(device)
        sent = [device.publish("v1/main/kiosk-1/up/tel", b"x") for _ in range(5)]
        assert sent == [True, True, True, False, False]
        steps_until(lambda: device.room == 3, device)


def test_the_will_reports_that_a_device_is_gone(broker):
    with client(broker, "_hub", "v1/main/+/up/status") as hub, client(broker, "kiosk-1") as device:
        device.will = Will("v1/main/kiosk-1/up/status", b"offline")
        connected(hub)
        connected(device)
        device.give_up(LinkState.LOST)  # closes without a goodbye
        assert b"offline" in [
            arrival.payload for arrival in received_through("v1/main/kiosk-1/up/status", hub)
        ]


def test_a_packet_that_paho_cannot_read_ends_the_connection_and_not_the_loop(broker, monkeypatch):
    with client(broker, "kiosk-1") as device:
        connected(device)

        def broken(self, timeout):
            raise IndexError("malformed properties")

        with monkeypatch.context() as patch:
            patch.setattr(mqtt.Client, "loop", broken)
            device.step(0.01)
        assert device.link is LinkState.PROTOCOL_ERROR
        assert "malformed properties" in device.detail
        connected(device)


def test_the_site_command_makes_a_folder_that_the_broker_takes(tmp_path):
    folder = tmp_path / "made"
    edge_hub = Path(sys.executable).parent / "edge-hub"
    command = [str(edge_hub), "site", str(folder), "--device", "kiosk-1=shop-1"]
    assert subprocess.run(command, check=False, capture_output=True, text=True).returncode == 0
    first = (folder / "kiosk-1.key").read_bytes()
    assert (
        subprocess.run(
            [*command, "--device", "kiosk-2=shop-1"], check=False, capture_output=True
        ).returncode
        == 0
    )
    assert (folder / "kiosk-1.key").read_bytes() == first
    assert (folder / "kiosk-1.key").stat().st_mode & 0o777 == 0o600
    assert "user kiosk-2" in (folder / "acl").read_text()
    bad = subprocess.run(
        [*command[:3], "--device", "site-x=shop-1"], check=False, capture_output=True, text=True
    )
    assert bad.returncode == 1
    assert "Traceback" not in bad.stderr


@pytest.fixture
def hanging_names(monkeypatch):
    """Yield the names that a silent name server was names for, and the event that ends that."""
    names, released, real = [], threading.Event(), socket.getaddrinfo

    def hangs(host, *arguments, **options):
        names.append(host)
        released.wait(CEILING_S)
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    yield names, released
    released.set()


def test_a_name_server_that_does_not_reply_blocks_nothing_and_is_named(broker, hanging_names):
    """The loop feeds the watchdog and serves the scanner; only one attempt is ever in progress."""
    names, released = hanging_names
    with client(broker, "kiosk-1", connect_timeout_s=0.5) as device:
        steps_until(
            lambda: device.link is LinkState.UNREACHABLE, device
        )  # the loop goes round while nothing is answered
        assert names == ["127.0.0.1"]
        released.set()
        connected(device)


def test_an_abandoned_connection_is_dropped_once_it_is_made(broker, hanging_names, monkeypatch):
    names, released = hanging_names
    with client(broker, "kiosk-1") as device:
        steps_until(lambda: names, device)
        device.close()
        monkeypatch.undo()
        connected(device)
        released.set()
        until(
            lambda: "attempt" not in [thread.name for thread in threading.enumerate()],
            what="the late one is over",
        )
        assert device.publish("v1/main/kiosk-1/up/tel", b"x")
        answered(device)
        assert device.connections == 2
        assert device.connected, "the late one did not push it off"


def broken(self, *arguments):
    raise RuntimeError("in a callback")


@pytest.mark.parametrize("callback", ["_on_message", "_on_publish", "_on_subscribe"])
def test_an_exception_in_a_callback_ends_the_connection_and_not_the_loop(
    broker, monkeypatch, callback
):
    """In a thread of paho it would end the loop, with ``is_connected()`` still true."""
    with client(broker, "_hub") as hub, client(broker, "kiosk-1", "v1/main/kiosk-1/dn/#") as device:
        connected(hub)
        connected(device)
        with monkeypatch.context() as patch:
            patch.setattr(MqttConnection, callback, broken)
            device.give_up(LinkState.LOST)  # the next client has the broken callback

            def ended() -> bool:
                if device.connected:
                    device.publish("v1/main/kiosk-1/up/tel", b"x")
                hub.publish("v1/main/kiosk-1/dn/ack", b"x")
                return device.link is LinkState.PROTOCOL_ERROR

            steps_until(ended, device, hub)
            assert "in a callback" in device.detail
        connected(device)


def test_an_exception_while_paho_logs_changes_nothing(broker, monkeypatch):
    """The library itself catches this one."""
    monkeypatch.setattr(MqttConnection, "_on_log", broken)
    with client(broker, "_hub") as hub, client(broker, "kiosk-1", "v1/main/kiosk-1/dn/#") as device:
        connected(hub)
        connected(device)
        assert hub.publish("v1/main/kiosk-1/dn/ack", b"x")
        received_through("v1/main/kiosk-1/dn/ack", hub, device)
        assert device.connected


OTHERS = [
    "v1/main/kiosk-2/up/evt",
    "v1/main/kiosk-2/up/req",
    "v1/main/kiosk-2/up/status",
    "v1/main/kiosk-2/dn/ack",
    "v1/main/kiosk-2/dn/res",
    "v1/main/kiosk-1/dn/ack",
    "v1/main/kiosk-1/dn/res",
    "v1/main/site-shop-1/dn/ord",
    "v1/main/site-shop-1/dn/cmd",
    "v1/main/_all/dn/trust",
    "v1/main/_all/dn/revoked",
    "v1/main/_hub/up/evt",
    "v1/other/kiosk-1/up/evt",
    "v2/main/kiosk-1/up/evt",
    "$SYS/broker/version",
]


@pytest.mark.parametrize("topic", OTHERS)
def test_a_device_can_write_nothing_that_is_not_its_own(broker, topic):
    with client(broker, "kiosk-1") as device:
        connected(device)
        assert device.publish(topic, b"x", retain=True)
        answered(device)
        assert device.refused_publishes == 1


@pytest.mark.parametrize(
    "filters",
    [
        "#",
        "+/+/+/+/+",
        "v1/main/+/up/evt",
        "v1/main/kiosk-2/#",
        "$share/any/v1/main/+/up/#",
        "$share/x/v1/main/kiosk-2/dn/#",
        "v1/main/_hub/#",
        "v1/main/site-shop-2/dn/#",
    ],
)
def test_no_filter_shows_a_device_the_messages_to_or_of_another(broker, filters):
    """Mosquitto may accept the subscription, but delivers only what the ACL allows."""
    own = "v1/main/kiosk-2/dn/cmd"
    with (
        client(broker, "kiosk-2", filters, own) as other,
        client(broker, "kiosk-1") as device,
        client(broker, "_hub") as hub,
    ):
        connected(device)
        connected(hub)
        steps_until(lambda: other.connected or other.link is LinkState.NOT_AUTHORISED, other)
        assert device.publish("v1/main/kiosk-1/up/evt", b"mine")
        answered(device)
        for topic in ("v1/main/kiosk-1/dn/ack", "v1/main/site-shop-1/dn/ord", own):
            assert hub.publish(topic, b"yours" if topic == own else b"mine")
        received = received_through(own, other, hub) if other.connected else []
        assert b"mine" not in [arrival.payload for arrival in received]


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("site"), DEVICES) as running:
        yield running
