"""The shipped broker's configuration and our session, with real clients over TLS 1.3."""

import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from sync.backoff import Backoff
from sync.connection import Connection
from sync.hub.pki import issue_client, load_authority, new_authority, write_private
from sync.hub.site import make_site
from sync.session import Arrival, Endpoint, Link, Session, Will
from tests.broker import Broker, free_port, until

DEVICES = {"kiosk-1": "shop-1", "kiosk-2": "shop-2"}
QUICK = Backoff(floor_s=0.05, cap_s=0.2)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("site"), DEVICES) as running:
        yield running


def endpoint(broker: Broker, name: str, **changes) -> Endpoint:
    files = broker.files
    facts = {
        "host": "127.0.0.1", "port": broker.site.port, "client_id": name, "ca_file": str(files.ca),
        "cert_file": str(files.certificate(name)), "key_file": str(files.key(name)),
    }  # fmt: skip
    return Endpoint(**{**facts, **changes})


def middle(low: float, high: float) -> float:
    return (low + high) / 2


@contextmanager
def client(broker: Broker, name: str, *filters: str, **changes):
    session = Session(endpoint(broker, name, **changes), list(filters) or ["v1/x"], uniform=middle, backoff=QUICK)
    try:
        yield session
    finally:
        session.close()


def connected(session: Session) -> Session:
    until(
        lambda: session.step(0.05) is not None and session.connected, 5, f"connected; {session.link} {session.detail}"
    )
    return session


def pump(seconds: float, *sessions: Session) -> list[Arrival]:
    arrivals, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        for session in sessions:
            for arrival in session.step(0.01):
                session.acknowledge(arrival)
                arrivals.append(arrival)
    return arrivals


def topics(arrivals) -> list[str]:
    return [arrival.topic for arrival in arrivals]


def test_a_device_reads_only_what_is_said_to_it_its_site_and_the_fleet(broker):
    heard = ["v1/main/kiosk-1/dn/ack", "v1/main/site-shop-1/dn/ord", "v1/main/_all/dn/trust"]
    others = ["v1/main/kiosk-2/dn/ack", "v1/main/site-shop-2/dn/ord", "v1/other/kiosk-1/dn/ack"]
    with client(broker, "kiosk-1", "#", "v1/+/+/dn/#", "$SYS/#") as device, client(broker, "_hub") as hub:
        connected(device)
        connected(hub)
        for topic in (*heard, *others):
            assert hub.publish(topic, b"x")
        assert sorted(set(topics(pump(0.6, device, hub)))) == sorted(heard)


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
        for topic in (mine, *others):
            assert device.publish(topic, b"x")
        assert topics(pump(0.6, device, hub, neighbour)) == [mine]
        assert device.refused_publishes == len(others)  # and it is told so


def test_a_device_cannot_push_another_off_by_taking_its_name(broker):
    with client(broker, "kiosk-1") as first, client(broker, "kiosk-2", client_id="kiosk-1") as second:
        connected(first)
        connected(second)
        pump(0.3, first, second)
        assert first.connected and second.connected
        assert first.connections == 1


def test_a_device_pushed_off_by_its_double_waits_longer_each_time(broker):
    """Mosquitto closes without a word; others say "session taken over". The hub names it (see its tests)."""
    with client(broker, "kiosk-1") as first, client(broker, "kiosk-1") as second:
        connected(first)
        connected(second)
        until(lambda: first.step(0.05) is not None and first.link is not Link.CONNECTED, 5, "the first is dropped")
        assert first.link in (Link.LOST, Link.IDENTITY_TAKEN)
        connected(first)  # and so takes it back, for a moment
        until(lambda: second.step(0.05) is not None and not second.connected, 5, "the second is dropped")
        assert first.failures == 1
        assert second.failures == 1


def test_a_certificate_of_another_authority_is_refused_by_name(broker, tmp_path):
    stranger = issue_client(new_authority("stranger", now_s=int(time.time())), "kiosk-1", now_s=int(time.time()))
    (tmp_path / "c.pem").write_bytes(stranger.certificate_pem)
    write_private(tmp_path / "k.pem", stranger.key_pem)
    files = {"cert_file": str(tmp_path / "c.pem"), "key_file": str(tmp_path / "k.pem")}
    with client(broker, "kiosk-1", **files) as session:
        until(lambda: session.step(0.05) is not None and session.link is Link.CERTIFICATE_REFUSED, 5, "refused")


def test_an_expired_certificate_is_refused_by_name(broker, tmp_path):
    """The broker checks the clock; the device learns what is wrong with it."""
    long_ago = int(time.time()) - 400 * 86_400
    files = make_site(tmp_path / "old", broker.site, None, now_s=long_ago)
    ca = (broker.files.ca.read_bytes(), broker.files.key("ca").read_bytes())
    old = issue_client(load_authority(*ca), "kiosk-1", now_s=long_ago, days=30)
    files.certificate("kiosk-1").write_bytes(old.certificate_pem)
    write_private(files.key("kiosk-1"), old.key_pem)
    paths = {"cert_file": str(files.certificate("kiosk-1")), "key_file": str(files.key("kiosk-1"))}
    with client(broker, "kiosk-1", **paths) as session:
        until(lambda: session.step(0.05) is not None and session.link is Link.CERTIFICATE_REFUSED, 5, "refused")
        assert "expired" in session.detail


def test_a_broker_that_another_authority_vouches_for_is_not_trusted(broker, tmp_path):
    (tmp_path / "ca.pem").write_bytes(
        make_site(tmp_path / "other", broker.site, None, now_s=int(time.time())).ca.read_bytes()
    )
    with client(broker, "kiosk-1", ca_file=str(tmp_path / "ca.pem")) as session:
        until(lambda: session.step(0.05) is not None and session.link is Link.BROKER_UNTRUSTED, 5, "untrusted")


def test_a_broker_under_another_name_is_not_trusted(broker):
    with client(broker, "kiosk-1", host="127.0.0.2") as session:
        untrusted = (Link.BROKER_UNTRUSTED, Link.UNREACHABLE)  # it may not listen there
        until(lambda: session.step(0.05) is not None and session.link in untrusted, 5, "untrusted")


@pytest.mark.parametrize("missing", ["ca_file", "cert_file", "key_file"])
def test_credentials_that_are_missing_are_named_with_their_file(broker, missing):
    with client(broker, "kiosk-1", **{missing: "/nowhere/file.pem"}) as session:
        session.step(0.01)
        assert session.link is Link.CREDENTIALS_UNUSABLE
        assert "/nowhere/file.pem" in session.detail


def test_an_unreachable_broker_is_named_and_tried_again(broker):
    with client(broker, "kiosk-1", port=free_port()) as session:
        until(lambda: session.step(0.02) is not None and session.connections >= 3, 5, "tried three times")
        assert session.link is Link.UNREACHABLE


def test_the_broker_speaks_tls_1_3_alone(broker):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(str(broker.files.ca))
    context.load_cert_chain(str(broker.files.certificate("kiosk-1")), str(broker.files.key("kiosk-1")))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", broker.site.port)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_what_was_not_acknowledged_to_the_broker_is_gone_and_what_is_retained_comes_again(broker):
    """An unacknowledged document is not lost: it is retained, and comes with the next connection."""
    with client(broker, "_hub") as hub, client(broker, "kiosk-1", "v1/main/_all/dn/#") as device:
        connected(hub)
        connected(device)
        assert hub.publish("v1/main/_all/dn/trust", b"list", retain=True)
        pump(0.2, hub)
        until(lambda: topics(device.step(0.05)) == ["v1/main/_all/dn/trust"], 5)  # and not acknowledged
        device.give_up(Link.LOST)
        again = pump(1.0, device)  # it comes with the connection
        assert [(arrival.payload, arrival.retained) for arrival in again] == [(b"list", True)]
        assert hub.publish("v1/main/_all/dn/trust", b"", retain=True)
        pump(0.2, hub)


def test_nothing_is_queued_while_there_is_no_connection(broker):
    """paho alone would queue it, say that it failed, and send it twice."""
    with client(broker, "_hub", "v1/main/+/up/#") as hub, client(broker, "kiosk-1") as device:
        connected(hub)
        assert not device.publish("v1/main/kiosk-1/up/evt", b"too early")
        connected(device)
        device.give_up(Link.LOST)
        assert not device.publish("v1/main/kiosk-1/up/evt", b"too late")
        connected(device)
        assert pump(0.4, hub, device) == []


def test_the_window_is_ours(broker):
    with client(broker, "kiosk-1", window=3) as device:
        connected(device)
        sent = [device.publish("v1/main/kiosk-1/up/tel", b"x") for _ in range(5)]
        assert sent == [True, True, True, False, False]
        pump(0.3, device)
        assert device.room == 3


def test_the_will_says_that_a_device_is_gone(broker):
    with client(broker, "_hub", "v1/main/+/up/status") as hub, client(broker, "kiosk-1") as device:
        device.will = Will("v1/main/kiosk-1/up/status", b"offline")
        connected(hub)
        connected(device)
        device.give_up(Link.LOST)  # closes without a goodbye
        assert (b"offline") in [arrival.payload for arrival in pump(0.5, hub)]


def test_a_packet_that_paho_cannot_read_ends_the_connection_and_not_the_loop(broker, monkeypatch):
    with client(broker, "kiosk-1") as device:
        connected(device)

        def broken(self, timeout):
            raise IndexError("malformed properties")

        with monkeypatch.context() as patch:
            patch.setattr(mqtt.Client, "loop", broken)
            device.step(0.01)
        assert device.link is Link.PROTOCOL_ERROR
        assert "malformed properties" in device.detail
        connected(device)


def test_the_site_command_makes_a_folder_that_the_broker_takes(tmp_path):
    folder = tmp_path / "made"
    edge_hub = Path(sys.executable).parent / "edge-hub"
    command = [str(edge_hub), "site", str(folder), "--device", "kiosk-1=shop-1"]
    assert subprocess.run(command, check=False, capture_output=True, text=True).returncode == 0
    first = (folder / "kiosk-1.key").read_bytes()
    assert subprocess.run([*command, "--device", "kiosk-2=shop-1"], check=False, capture_output=True).returncode == 0
    assert (folder / "kiosk-1.key").read_bytes() == first
    assert (folder / "kiosk-1.key").stat().st_mode & 0o777 == 0o600
    assert "user kiosk-2" in (folder / "acl").read_text()
    bad = subprocess.run([*command[:3], "--device", "site-x=shop-1"], check=False, capture_output=True, text=True)
    assert bad.returncode == 1
    assert "Traceback" not in bad.stderr


def test_a_name_server_that_does_not_answer_holds_nothing_up_and_is_named(broker, monkeypatch):
    """The loop feeds the watchdog and answers the scanner; only one attempt is ever under way."""
    asked, real = [], socket.getaddrinfo

    def slow(host, *arguments, **options):
        asked.append(host)
        time.sleep(1.5)
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr("sync.session.CONNECT_TIMEOUT_S", 0.5)
    with client(broker, "kiosk-1") as device:
        longest, states, end = 0.0, set(), time.monotonic() + 1.3
        while time.monotonic() < end:
            started = time.monotonic()
            device.step(0.05)
            longest = max(longest, time.monotonic() - started)
            states.add(device.link)
        assert longest < 0.5
        assert Link.UNREACHABLE in states
        assert asked == ["127.0.0.1"]
        connected(device)


def test_a_dialled_connection_that_nobody_wants_any_more_is_dropped(broker, monkeypatch):
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **o: (time.sleep(0.4), real(*a, **o))[1])
    with client(broker, "kiosk-1") as device:
        device.step(0.05)
        device.close()
        monkeypatch.setattr(socket, "getaddrinfo", real)
        connected(device)
        pump(0.8, device)
        assert device.connections == 2
        assert device.connected, "the late one did not push it off"


@pytest.mark.parametrize("callback", ["_on_message", "_on_publish", "_on_log", "_on_subscribe"])
def test_an_exception_in_a_callback_ends_the_connection_and_not_the_loop(broker, monkeypatch, callback):
    """In paho's own thread it would end the loop, while ``is_connected()`` stays true and publishing "succeeds"."""

    def broken(self, *arguments):
        raise RuntimeError("in a callback")

    with client(broker, "_hub") as hub, client(broker, "kiosk-1", "v1/main/kiosk-1/dn/#") as device:
        connected(hub)
        connected(device)
        with monkeypatch.context() as patch:
            patch.setattr(Connection, callback, broken)
            device.give_up(Link.LOST)  # the next client has the broken callback
            end = time.monotonic() + 3
            while time.monotonic() < end and device.link is not Link.PROTOCOL_ERROR:
                device.step(0.02)
                if device.connected:
                    device.publish("v1/main/kiosk-1/up/tel", b"x")
                    hub.publish("v1/main/kiosk-1/dn/ack", b"x") if hub.step(0.0) is not None and hub.connected else None
            if callback != "_on_log":  # paho logs nothing worth a warning here
                assert device.link is Link.PROTOCOL_ERROR
        connected(device)


OTHERS = [
    "v1/main/kiosk-2/up/evt", "v1/main/kiosk-2/up/req", "v1/main/kiosk-2/up/status", "v1/main/kiosk-2/dn/ack",
    "v1/main/kiosk-2/dn/res", "v1/main/kiosk-1/dn/ack", "v1/main/kiosk-1/dn/res", "v1/main/site-shop-1/dn/ord",
    "v1/main/site-shop-1/dn/cmd", "v1/main/_all/dn/trust", "v1/main/_all/dn/revoked", "v1/main/_hub/up/evt",
    "v1/other/kiosk-1/up/evt", "v2/main/kiosk-1/up/evt", "$SYS/broker/version",
]  # fmt: skip


@pytest.mark.parametrize("topic", OTHERS)
def test_a_device_can_write_nothing_that_is_not_its_own(broker, topic):
    with client(broker, "kiosk-1") as device:
        connected(device)
        assert device.publish(topic, b"x", retain=True)
        pump(0.15, device)
        assert device.refused_publishes == 1


@pytest.mark.parametrize("filters", [
    "#", "+/+/+/+/+", "v1/main/+/up/evt", "v1/main/kiosk-2/#", "$share/any/v1/main/+/up/#",
    "$share/x/v1/main/kiosk-2/dn/#", "v1/main/_hub/#", "v1/main/site-shop-2/dn/#",
])  # fmt: skip
def test_no_filter_shows_a_device_what_is_said_to_or_by_another(broker, filters):
    """Mosquitto may take the subscription; it delivers nothing on it that the ACL does not allow."""
    with (
        client(broker, "kiosk-2", filters) as other,
        client(broker, "kiosk-1") as device,
        client(broker, "_hub") as hub,
    ):
        for session in (other, device, hub):
            until(lambda s=session: s.step(0.02) is not None and (s.connected or s.link is Link.NOT_AUTHORISED), 5)
        device.publish("v1/main/kiosk-1/up/evt", b"mine")
        hub.publish("v1/main/kiosk-1/dn/ack", b"mine")
        hub.publish("v1/main/site-shop-1/dn/ord", b"mine")
        assert b"mine" not in [arrival.payload for arrival in pump(0.3, other, device, hub)]
