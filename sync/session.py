"""One connection to the broker: MQTT 5 over TLS 1.3. The only module that imports paho.

paho is a transport and nothing more. What that means here:

* There is no paho thread. The process calls ``step`` and everything happens inside it, so no
  callback can kill a loop that others believe alive. Callbacks only append to a queue.
* Only what may block without end is done beside the loop (sync.attempt): the name, the handshake. No
  packet is read or written there but CONNECT.
* Each connection is a new paho client. What an old one still had queued is gone, on purpose:
  the outbox sends again, and nothing is sent twice by a queue that nobody can see.
* The window is ours: paho ignores the server's Receive Maximum.
* ``connected`` says that the broker answered once. Whether anything is *safe* only the
  application's acknowledgement says (sync.uplink).
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.instant import Instant
from sync.attempt import Attempt
from sync.backoff import Backoff
from sync.link import CONNACK, Arrival, Endpoint, Link, Will, file_marks, which_file
from sync.tls import CertificateOverError, check_window, tls_context

__all__ = ["Arrival", "Endpoint", "Link", "Session", "Will"]

CONNECT_TIMEOUT_S: Final = 5.0
# A connection that lasted this long makes the next delays short again. A shorter one does not, answered or not:
# two devices with one identity would push each other off for ever.
PROVEN_S: Final = 30.0
MOST_ARRIVALS: Final = 256  # handed over by one step
RECEIVE_MAXIMUM: Final = 64  # messages the broker may send us unacknowledged


def system_clock() -> Instant:
    """The system's clock, believed. For a machine whose time is set."""
    return Instant(unix_s=int(time.time()))


class Session:
    """A connection that mends itself. Single-threaded: every method is called from the process's one loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        filters: list[str],
        *,
        will: Will | None = None,
        uniform: Callable[[float, float], float],
        monotonic: Callable[[], float] = time.monotonic,
        backoff: Backoff | None = None,
        now: Callable[[], Instant] = system_clock,
    ) -> None:
        """``now``: by which the broker's certificate is judged (sync.tls)."""
        self._endpoint = endpoint
        self._filters = filters
        self.will = will  # sent with the next connection
        self._uniform = uniform
        self._monotonic = monotonic
        self._backoff = backoff or Backoff()
        self._now = now
        self._client: mqtt.Client | None = None
        self._dialling: tuple[mqtt.Client, Attempt] | None = None
        self._wanted: mqtt.Client | None = None  # the client that is being connected
        self._arrivals: deque[Arrival] = deque()
        self._in_flight: set[int] = set()
        self._ready = False
        self._verdict: Link | None = None  # what the broker said about the connection, from a callback
        self._detail = ""
        self._next_try_s = 0.0
        self._files = file_marks(endpoint)
        self._since_s = 0.0
        self._window = endpoint.window
        self.link = Link.CONNECTING
        self.connections = 0
        self.refused_publishes = 0

    @property
    def connected(self) -> bool:
        """True when the broker has accepted this connection and its subscriptions."""
        return self._ready

    @property
    def detail(self) -> str:
        """What is known about the last loss of the connection, for people."""
        return self._detail

    @property
    def failures(self) -> int:
        """How often the connection failed since one lasted."""
        return self._backoff.attempt

    @property
    def room(self) -> int:
        """How many more QoS 1 messages may be published now."""
        return max(0, self._window - len(self._in_flight)) if self._ready else 0

    def step(self, timeout_s: float) -> list[Arrival]:
        """Do what is due: connect, read, write, ping. Wait at most ``timeout_s`` and return what came."""
        if self._dialling is not None:
            self._dialled(*self._dialling, timeout_s)
        elif self._client is None:
            self._try_to_connect(timeout_s)
        else:
            self._turn(self._client, timeout_s)
            self._drain()
        arrivals = list(self._arrivals)
        self._arrivals.clear()
        return arrivals

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expires_s: int | None = None,
        correlation: bytes | None = None,
    ) -> bool:
        """Send with QoS 1. False, and nothing is queued, when not connected or the window is full."""
        if self._client is None or self.room == 0:
            return False
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
        if expires_s is not None:
            properties.MessageExpiryInterval = expires_s
        if correlation is not None:
            properties.CorrelationData = correlation
        info = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._in_flight.add(info.mid)
        return True

    def fileno(self) -> int | None:
        """The socket to wait for, for whoever runs many sessions in one loop; None while there is none."""
        sock = self._client.socket() if self._client is not None else None
        return None if sock is None else sock.fileno()

    def ask_retained(self) -> None:
        """Subscribe again, so that the broker sends once more what it retains."""
        if self._client is not None and self._ready:
            self._subscribe(self._client)

    def acknowledge(self, arrival: Arrival) -> None:
        """Tell the broker that ``arrival`` has been dealt with (on disk, where that matters)."""
        if self._client is not None and arrival.connection == self.connections and arrival.qos == 1:
            self._client.ack(arrival.mid, arrival.qos)

    def give_up(self, why: Link) -> None:
        """Drop the connection because the other side does not answer; connect again after a delay."""
        self._lose(why, "no answer")

    def close(self, farewell: Will | None = None) -> None:
        """Say goodbye, flush for at most a second and disconnect. The will is not published."""
        self._wanted = None
        if self._dialling is not None:
            self._dialling[1].abandon()
            self._dialling = None
        if self._client is None:
            return
        if farewell is not None:
            self.publish(farewell.topic, farewell.payload, retain=True)
        deadline = self._monotonic() + 1.0
        while self._ready and self._in_flight and self._monotonic() < deadline:
            self._turn(self._client, 0.05)
            if self._client is None:
                return
        self._client.disconnect()
        self._client = None
        self._ready = False

    def _try_to_connect(self, timeout_s: float) -> None:
        wait_s = self._next_try_s - self._monotonic()
        if wait_s > 0 and not self._credentials_changed():
            time.sleep(min(wait_s, timeout_s))
            return
        now = self._now()
        try:
            context = tls_context(self._endpoint, now)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self._lose(Link.CREDENTIALS_UNUSABLE, which_file(self._endpoint, error))
            return
        client = self._new_client(context)
        self._since_s = self._monotonic()
        self._wanted = client
        client.on_socket_open = lambda _client, _userdata, sock: self._may_speak(client, sock, now)
        attempt = Attempt(lambda: self._dial(client), undo=lambda: _drop(client))
        self._dialling = client, attempt
        self._dialled(client, attempt, timeout_s)

    def _credentials_changed(self) -> bool:
        """Whether somebody has put other files in place since the last try: then there is no reason to wait."""
        seen, self._files = self._files, file_marks(self._endpoint)
        return seen != self._files

    def _dial(self, client: mqtt.Client) -> None:
        """In the attempt's thread."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        client.connect(
            self._endpoint.host,
            self._endpoint.port,
            keepalive=self._endpoint.keepalive_s,
            clean_start=True,
            properties=properties,
        )

    def _may_speak(self, client: mqtt.Client, sock: object, now: Instant) -> None:
        """After the handshake and before CONNECT, in the attempt's thread. Raises what ends the attempt.

        A connection that nobody waits for any more must not say who it is: the broker would drop the one that is used.
        """
        if self._wanted is not client:
            raise ConnectionAbortedError("given up")
        check_window(sock, now)

    def _dialled(self, client: mqtt.Client, attempt: Attempt, timeout_s: float) -> None:
        """Look after the attempt for at most ``timeout_s``; only one is ever under way."""
        if not attempt.wait(timeout_s):
            waited_s = self._monotonic() - self._since_s
            if waited_s > CONNECT_TIMEOUT_S and self.link is not Link.UNREACHABLE:
                self.link, self._detail = Link.UNREACHABLE, "no answer yet from the name server or the broker"
            return
        self._dialling = None
        match attempt.error:
            case None:
                self._take_up(client)
            case ssl.SSLCertVerificationError() as error:
                self._lose(Link.BROKER_UNTRUSTED, error.verify_message)
            case CertificateOverError() as error:
                self._lose(Link.BROKER_UNTRUSTED, str(error))
            case ssl.SSLError() as error:
                self._lose(Link.CERTIFICATE_REFUSED if "ALERT" in str(error) else Link.PROTOCOL_ERROR, str(error))
            case error:
                self._lose(Link.UNREACHABLE, str(error) or type(error).__name__)

    def _take_up(self, client: mqtt.Client) -> None:
        sock = client.socket()
        if isinstance(sock, socket.socket):  # small messages would wait for each other: Nagle's delay, on each
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._since_s = self._monotonic()

    def _drain(self) -> None:
        """paho reads about one packet a turn; take what is already here, up to a bound."""
        seen = -1
        while self._client is not None and seen < len(self._arrivals) < MOST_ARRIVALS:
            seen = len(self._arrivals)
            self._turn(self._client, 0.0)

    def _new_client(self, context: ssl.SSLContext) -> mqtt.Client:
        self.connections += 1
        number = self.connections
        self._in_flight.clear()
        self._arrivals.clear()
        self._verdict = None
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._endpoint.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(self._endpoint.window)
        client.max_queued_messages_set(self._endpoint.window)
        client.tls_set_context(context)
        if self.will is not None:
            client.will_set(self.will.topic, self.will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_log = self._on_log
        client.on_message = lambda _client, _userdata, message: self._on_message(message, number)
        return client

    def _turn(self, client: mqtt.Client, timeout_s: float) -> None:
        try:
            code = client.loop(timeout_s)
        except Exception as error:  # noqa: BLE001 - paho raises many kinds for a malformed packet; none may end the loop
            self._lose(Link.PROTOCOL_ERROR, f"{type(error).__name__}: {error}")
            return
        now_s = self._monotonic()
        if self._verdict is not None and self._verdict is not Link.CONNECTED:
            self._lose(self._verdict, self._detail)
        elif code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            # With TLS 1.3 a refused client certificate shows only after the handshake, as an alert.
            refused = not self._ready and ("ALERT" in self._detail or "alert" in self._detail)
            self._lose(Link.CERTIFICATE_REFUSED if refused else Link.LOST, self._detail or mqtt.error_string(code))
        elif not self._ready and now_s - self._since_s > CONNECT_TIMEOUT_S:
            self._lose(Link.UNREACHABLE, "the broker did not answer CONNECT and SUBSCRIBE")
        elif self._ready and now_s - self._since_s > PROVEN_S:
            self._backoff = self._backoff.succeeded()

    def _lose(self, link: Link, detail: str) -> None:
        client, self._client = self._client, None
        self._ready = False
        self._in_flight.clear()
        self._verdict = None
        if client is not None:
            _drop(client)
        self.link, self._detail = link, detail
        self._backoff = self._backoff.failed(hopeless=link.hopeless)
        self._next_try_s = self._monotonic() + self._backoff.delay_s(self._uniform)

    # Callbacks: they run inside ``client.loop`` and only take note.

    def _on_connect(
        self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._verdict, self._detail = CONNACK.get(reason.value, Link.PROTOCOL_ERROR), str(reason)
            return
        allowed = getattr(properties, "ReceiveMaximum", 65535)  # absent means 65,535 (MQTT 5 section 3.2.2.3.3)
        self._window = min(self._endpoint.window, allowed)
        self._subscribe(client)

    def _subscribe(self, client: mqtt.Client) -> None:
        options = SubscribeOptions(qos=1)
        client.subscribe([(name, options) for name in self._filters])

    def _on_subscribe(
        self, _client: mqtt.Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._verdict, self._detail = Link.NOT_AUTHORISED, "the broker refused a subscription"
            return
        self._ready = True
        self._detail = ""
        self.link = Link.CONNECTED

    def _on_disconnect(
        self, _client: mqtt.Client, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.value in CONNACK:
            self._verdict, self._detail = CONNACK[reason.value], str(reason)

    def _on_publish(self, _client: mqtt.Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._in_flight.discard(mid)
        if reason.is_failure:
            self.refused_publishes += 1
            self._detail = f"a publish was refused: {reason}"

    def _on_log(self, _client: mqtt.Client, _userdata: Any, level: int, text: str) -> None:
        if level in (mqtt.MQTT_LOG_ERR, mqtt.MQTT_LOG_WARNING):
            self._detail = text

    def _on_message(self, message: mqtt.MQTTMessage, connection: int) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # of no protocol: counted as an unknown topic
        properties = message.properties
        self._arrivals.append(
            Arrival(
                topic,
                bytes(message.payload),
                message.mid,
                message.qos,
                message.retain,
                connection,
                getattr(properties, "ResponseTopic", None),
                getattr(properties, "CorrelationData", None),
            )
        )


def _drop(client: mqtt.Client) -> None:
    """Close without a DISCONNECT, so that the broker publishes the will."""
    sock = client.socket()
    if sock is not None:
        sock.close()
