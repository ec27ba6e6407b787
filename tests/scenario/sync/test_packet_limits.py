"""Nobody sends a packet that the other end does not accept, and nobody reads one."""

from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from hardware_sim.faults.mqtt_proxy import CLEAR, CUT, NetworkFault
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.values.node_name import OPS
from sync.mqtt.session import MqttSession
from sync.mqtt.tls import client_context
from sync.protocol.channels import CHANNELS
from sync.wire.limits import MOST_MESSAGE_BYTES, MOST_PACKET_BYTES
from tests.support.broker import Broker, until
from tests.support.broker_sessions import (
    connected,
    endpoint,
    middle,
    received_through,
    steps_until,
)
from tests.support.fast_timings import QUICK
from tests.support.faulty_network import proxied
from tests.support.largest_messages import largest_messages
from tests.support.platform_processes import Platform

DEVICES = {"kiosk-1": "shop-1"}
ACK = "v1/main/kiosk-1/dn/ack"
HOSTILE_BYTES = 32 * 2**20
MOST_GROWTH_KB = 20 * 1024


def limit_packets(broker: Broker, most_bytes: int) -> None:
    """Give the broker another limit. The configuration of the product has the protocol's own."""
    config = broker.files.broker_config
    text = config.read_text()
    shipped = f"max_packet_size {MOST_PACKET_BYTES}\n"
    assert shipped in text
    config.write_text(text.replace(shipped, f"max_packet_size {most_bytes}\n"))


@contextmanager
def session(broker: Broker, name: str, *filters: str, **changes):
    made = MqttSession(
        endpoint(broker, name, **changes), list(filters) or ["v1/x"], uniform=middle, backoff=QUICK
    )
    with closing(made):
        yield connected(made)


@contextmanager
def hostile(broker: Broker):
    """Yield a client with the hub's certificate that keeps to no limit."""
    at = endpoint(broker, "_hub", client_id="hostile")
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, at.client_id, protocol=MQTTProtocolVersion.MQTTv5
    )
    client.tls_set_context(client_context(at.ca_file, at.cert_file, at.key_file))
    client.connect(at.host, at.port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def peak_kb(pid: int) -> int:
    """Return the most memory that a process has had, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize("most_bytes", [MOST_PACKET_BYTES, 60_000], ids=["as shipped", "lower"])
def test_a_message_that_the_broker_does_not_accept_is_set_aside_and_the_connection_stands(
    tmp_path, most_bytes
):
    broker = Broker(tmp_path, DEVICES)
    limit_packets(broker, most_bytes)
    topic = "v1/main/kiosk-1/up/evt"
    with broker, session(broker, "kiosk-1") as device, session(broker, "_hub", topic) as hub:
        for size in (most_bytes, most_bytes - 200, 10):
            assert device.publish(topic, bytes(size))
        arrivals = steps_until(lambda: not device.unacknowledged, device, hub)
        while len(arrivals) < 2:
            arrivals += steps_until(lambda: True, device, hub)
        assert [len(arrival.payload) for arrival in arrivals] == [most_bytes - 200, 10]
        assert device.oversized.count == 1
        assert topic in device.oversized.detail
        assert (device.connections, device.refused_publishes) == (1, 0)


def test_the_broker_passes_on_nothing_that_a_client_does_not_accept(tmp_path):
    broker = Broker(tmp_path, DEVICES)
    limit_packets(broker, 2 * HOSTILE_BYTES)
    with broker, session(broker, "kiosk-1", "v1/main/kiosk-1/dn/#") as device:
        with hostile(broker) as attacker:
            for size in (MOST_MESSAGE_BYTES, 2 * MOST_PACKET_BYTES, 1):
                attacker.publish("v1/main/kiosk-1/dn/cmd", bytes(size), qos=1)
            attacker.publish(ACK, b"last", qos=1)
            arrivals = received_through(ACK, device)
        assert [len(each.payload) for each in arrivals] == [MOST_MESSAGE_BYTES, 1, 4]
        assert device.connections == 1


def test_a_publish_of_many_megabytes_costs_a_device_no_memory_and_is_named(tmp_path):
    """First the broker keeps it back; then one that passes it on all the same."""
    platform = Platform(tmp_path, DEVICES)
    limit_packets(platform.broker, 2 * HOSTILE_BYTES)
    with platform:
        device = platform.devices["kiosk-1"]
        with proxied(platform, device, mqtt=True) as proxy:
            device.redeem()
            device.wait_acknowledged()
            platform.hub.kill()
            before_kb = peak_kb(device.sync.child.pid)
            with hostile(platform.broker) as attacker:
                attacker.publish(ACK, bytes(HOSTILE_BYTES), qos=1).wait_for_publish(60)
                proxy.fault = CUT
                until(lambda: device.health()["link"] != "connected", what=device.health)
                proxy.fault = NetworkFault(hides_packet_size=True)
                until(lambda: device.health()["link"] == "connected", what=device.health)
                attacker.publish(ACK, bytes(HOSTILE_BYTES), qos=1).wait_for_publish(60)
                until(
                    lambda: '"packet_too_large"' in device.sync.text,
                    what=lambda: device.sync.text[-2000:],
                )
            proxy.fault = CLEAR
            platform.hub.start()
            device.redeem()
            device.wait_acknowledged()
            assert peak_kb(device.sync.child.pid) - before_kb < MOST_GROWTH_KB
        assert "Traceback" not in device.sync.text


def test_the_largest_of_each_message_is_delivered_by_the_broker_as_shipped(tmp_path):
    broker = Broker(tmp_path, DEVICES)
    largest = list(largest_messages())
    channels = {message.name: channel for channel in CHANNELS for message in channel.messages}
    names = {"tenant": "main", "device": "kiosk-1", "site": "shop-1"}
    ends = {
        ("device", True): "kiosk-1",
        ("device", False): "_hub",
        ("ops", True): OPS,
        ("ops", False): "_hub",
    }
    filters = ["v1/main/+/up/#", "v1/main/+/dn/#"]
    with broker, ExitStack() as stack:
        sessions = {
            name: stack.enter_context(session(broker, name, *filters))
            for name in ("kiosk-1", "_hub", OPS)
        }
        for message in largest:
            channel = channels[message.name]
            topic = channel.address.format(**names)
            of = "ops" if channel.name.startswith("ops") else "device"
            sender = sessions[ends[of, channel.up]]
            reader = sessions["_hub"] if channel.up else sessions[OPS if of == "ops" else "kiosk-1"]
            assert sender.publish(topic, message.payload)
            arrivals = received_through(topic, sender, reader)
            assert any(arrival.payload == message.payload for arrival in arrivals), message.name
        for used in sessions.values():
            assert (used.oversized.count, used.connections, used.refused_publishes) == (0, 1, 0)
