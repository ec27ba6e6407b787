"""One connection to the broker: MQTT 5 over TLS 1.3, from CONNECT until it ends.

This is the only module that imports paho, which is a transport and nothing more. That means:

* There is no paho thread. The owner of the connection calls ``step`` and everything happens inside
  it, so that no callback can end a loop that seems alive. Callbacks only take note.
* A connection is a new paho client and is never reused: what it still had queued when it ended is
  gone, on purpose. The outbox sends again, and no hidden queue sends anything twice.
* The window is ours: paho ignores the server's Receive Maximum.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.values.errors import EdgeError
from sync.mqtt.endpoint import CONNACK, Arrival, Endpoint, LinkState, Will
from sync.mqtt.oversized import OversizedPublishes
from sync.wire.limits import MOST_PACKET_BYTES

MOST_ARRIVALS: Final = 256  # waiting to be returned
MOST_DRAINED_BYTES: Final = 2 * MOST_PACKET_BYTES  # of these, beyond those that came first
RECEIVE_MAXIMUM: Final = 64  # messages the broker may send us unacknowledged
_PACKET_TOO_LARGE: Final = 149  # MQTT 5 section 3.14.2.1
_HEADER_BYTES: Final = 5 + 2 + 2  # fixed header at its longest, length of the topic, packet id


class PacketTooLargeError(EdgeError):
    """The broker sends a packet above the Maximum Packet Size of our CONNECT."""


class PacketSocket(ssl.SSLSocket):
    """A socket that begins no packet that is too large.

    paho reads the length of a packet, then asks for all of the rest at once.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return at most ``buflen`` bytes. Raises PacketTooLargeError."""
        if buflen > MOST_PACKET_BYTES:
            raise PacketTooLargeError(
                f"the broker sends a packet of {buflen} bytes, at most {MOST_PACKET_BYTES}"
                " are accepted here"
            )
        return super().recv(buflen, flags)


class MqttConnection:
    """A paho client that connects once. Single-threaded but for ``dial``, which may block."""

    def __init__(
        self,
        endpoint: Endpoint,
        filters: list[str],
        context: ssl.SSLContext,
        will: Will | None,
        *,
        number: int,
        arrivals: deque[Arrival],
        oversized: OversizedPublishes,
        timeout_s: float,
    ) -> None:
        """Put what arrives into ``arrivals``, under the connection's ``number``."""
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._options = [
            (name, SubscribeOptions(qos=1, retainAsPublished=True)) for name in filters
        ]
        self._arrivals = arrivals
        self._drained_bytes = 0
        self._oversized = oversized
        self._most_packet_bytes = MOST_PACKET_BYTES  # that we may send
        self.number = number
        self._in_flight: set[int] = set()
        self._window = endpoint.window
        self._refusal: LinkState | None = None  # why the broker refused or ended the connection
        self.ready = False  # the broker has accepted the connection and its subscriptions
        self.detail = ""
        self.refused_publishes = 0
        self._client = self._new_client(context, will)

    @property
    def unacknowledged(self) -> int:
        """Return the number of QoS 1 messages that the broker has not acknowledged yet."""
        return len(self._in_flight)

    @property
    def room(self) -> int:
        """Return how many more QoS 1 messages may be published now."""
        return max(0, self._window - len(self._in_flight)) if self.ready else 0

    def dial(self, check_socket: Callable[[object], None]) -> None:
        """Connect and shake hands. Raises what ends the attempt.

        ``check_socket`` gets the socket before CONNECT is sent, and may raise.
        """
        self._client.on_socket_open = lambda _client, _userdata, sock: check_socket(sock)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = MOST_PACKET_BYTES
        self._client.connect(
            self._endpoint.host,
            self._endpoint.port,
            keepalive=self._endpoint.keepalive_s,
            clean_start=True,
            properties=properties,
        )
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            # Without it, Nagle's algorithm delays each small message.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def step(self, timeout_s: float) -> LinkState | None:
        """Read, write and ping; wait at most ``timeout_s``.

        Return why the connection has ended; None while it stands.
        """
        try:
            code = self._client.loop(timeout_s)
        except PacketTooLargeError as error:
            self.detail = str(error)
            self._client.disconnect(
                ReasonCode(PacketTypes.DISCONNECT, identifier=_PACKET_TOO_LARGE)
            )
            return LinkState.PACKET_TOO_LARGE
        except Exception as error:  # noqa: BLE001 - paho raises many kinds for a malformed packet
            self.detail = f"{type(error).__name__}: {error}"
            return LinkState.PROTOCOL_ERROR
        if self._refusal is not None:
            return self._refusal
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            return None
        # With TLS 1.3 a refused client certificate shows only after the handshake, as an alert.
        refused = not self.ready and "alert" in self.detail.lower()
        self.detail = self.detail or mqtt.error_string(code)
        return LinkState.CERTIFICATE_REFUSED if refused else LinkState.LOST

    def drain(self) -> LinkState | None:
        """Read what has already arrived, up to a bound. Returns as ``step`` does.

        One loop of paho reads about one packet.
        """
        seen, self._drained_bytes = -1, 0
        while seen < len(self._arrivals) < MOST_ARRIVALS:
            if self._drained_bytes > MOST_DRAINED_BYTES:
                break  # the rest waits at the broker
            seen = len(self._arrivals)
            if (ended := self.step(0.0)) is not None:
                return ended
        return None

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool,
        expires_s: int | None,
        correlation: bytes | None,
    ) -> bool:
        """Send with QoS 1. False, and nothing is queued, when the window is full.

        A message that is larger than the broker accepts is not sent, and True: it is set aside.
        """
        if self.room == 0:
            return False
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
        if expires_s is not None:
            properties.MessageExpiryInterval = expires_s
        if correlation is not None:
            properties.CorrelationData = correlation
        packet_bytes = _packet_bytes(topic, payload, properties)
        if packet_bytes > self._most_packet_bytes:
            self._oversized.add(topic, packet_bytes, self._most_packet_bytes)
            return True
        info = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._in_flight.add(info.mid)
        return True

    def subscribe(self) -> None:
        """Subscribe. Called again, it makes the broker send once more what it retains."""
        self._client.subscribe(self._options)

    def acknowledge(self, arrival: Arrival) -> None:
        """Acknowledge ``arrival``, which came over this connection, to the broker."""
        if arrival.connection == self.number and arrival.qos == 1:
            self._client.ack(arrival.mid, arrival.qos)

    def fileno(self) -> int | None:
        """Return the socket to wait for; None while there is none."""
        sock = self._client.socket()
        return None if sock is None else sock.fileno()

    def drop(self) -> None:
        """Close without a DISCONNECT, so that the broker publishes the will."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def disconnect(self) -> None:
        """Send DISCONNECT. The will is not published."""
        self._client.disconnect()

    def _new_client(self, context: ssl.SSLContext, will: Will | None) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._endpoint.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = self._timeout_s
        client.max_inflight_messages_set(self._endpoint.window)
        client.max_queued_messages_set(self._endpoint.window)
        context.sslsocket_class = PacketSocket
        client.tls_set_context(context)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_log = self._on_log
        client.on_message = self._on_message
        return client

    # Callbacks: they run inside ``step`` and only take note.

    def _on_connect(
        self,
        _client: mqtt.Client,
        _userdata: Any,
        _flags: Any,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._refusal, self.detail = (
                CONNACK.get(reason.value, LinkState.PROTOCOL_ERROR),
                str(reason),
            )
            return
        # Absent means 65,535 (MQTT 5 section 3.2.2.3.3).
        allowed = getattr(properties, "ReceiveMaximum", 65535)
        self._window = min(self._endpoint.window, allowed)
        most_bytes = getattr(properties, "MaximumPacketSize", MOST_PACKET_BYTES)
        self._most_packet_bytes = min(MOST_PACKET_BYTES, most_bytes)
        self.subscribe()

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _userdata: Any,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Any,
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refusal, self.detail = (
                LinkState.NOT_AUTHORISED,
                "the broker refused a subscription",
            )
            return
        self.ready = True
        self.detail = ""

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _userdata: Any,
        _flags: Any,
        reason: ReasonCode,
        _properties: Any,
    ) -> None:
        if reason.value in CONNACK:
            self._refusal, self.detail = CONNACK[reason.value], str(reason)

    def _on_publish(
        self, _client: mqtt.Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        self._in_flight.discard(mid)
        if reason.is_failure:
            self.refused_publishes += 1
            self.detail = f"a publish was refused: {reason}"

    def _on_log(self, _client: mqtt.Client, _userdata: Any, level: int, text: str) -> None:
        if level in (mqtt.MQTT_LOG_ERR, mqtt.MQTT_LOG_WARNING):
            self.detail = text

    def _on_message(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # counted as an unknown topic
        properties = message.properties
        self._drained_bytes += len(message.payload)
        self._arrivals.append(
            Arrival(
                topic,
                bytes(message.payload),
                message.mid,
                message.qos,
                message.retain,
                self.number,
                getattr(properties, "CorrelationData", None),
                getattr(properties, "MessageExpiryInterval", None),
            )
        )


def _packet_bytes(topic: str, payload: bytes, properties: Properties) -> int:
    """Return the most bytes that a PUBLISH with this content has."""
    packed = properties.pack()  # type: ignore[no-untyped-call]  # paho's
    return _HEADER_BYTES + len(topic.encode()) + len(packed) + len(payload)
