"""A connection to the broker that repairs itself: retried with full jitter, its state always named.

* Only what may block without end runs beside the loop (sync.mqtt.background_call): the name and the
  handshake. No packet but CONNECT is read or written there.
* ``connected`` says that the broker accepted the connection. Only the application's acknowledgement
  says that anything is *safe* (sync.agent.uplink).
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from edge.values.instant import Instant
from sync.mqtt.background_call import BackgroundCall
from sync.mqtt.backoff import Backoff
from sync.mqtt.connection import MqttConnection
from sync.mqtt.endpoint import Arrival, Endpoint, LinkState, Will, file_versions, unusable_file
from sync.mqtt.oversized import OversizedPublishes
from sync.mqtt.tls import CertificateExpiredError, check_window, tls_context

# A connection that lasted this long makes the next delays short again. A shorter one does not: two
# devices with one identity would push each other off for ever.
PROVEN_S: Final = 30.0


def system_clock() -> Instant:
    """Return the time of the system's clock. For a machine whose time is set."""
    return Instant(unix_s=int(time.time()))


class MqttSession:
    """One connection after another. Single-threaded: the process's one loop calls every method."""

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
        shares_identity: bool = False,
        connect_timeout_s: float = 5.0,
    ) -> None:
        """Connect with the first ``step``.

        ``now`` is the time by which the broker's certificate is checked (sync.mqtt.tls). With
        ``shares_identity`` several programs use this identity in turn: to be pushed off by another
        of them is no reason to wait long.
        """
        self._endpoint = endpoint
        self._filters = filters
        self.will = will  # sent with the next connection
        self._uniform = uniform
        self._monotonic = monotonic
        self._backoff = backoff or Backoff()
        self._now = now
        self._shares_identity = shares_identity
        self._connect_timeout_s = connect_timeout_s
        self._connection: MqttConnection | None = None
        self._dialling: tuple[MqttConnection, BackgroundCall] | None = None
        self._wanted: MqttConnection | None = None  # the connection that is being made
        self._arrivals: deque[Arrival] = deque()
        self._lost_detail = ""
        self._refused_before = 0
        self._next_try_s = 0.0
        self._files = file_versions(endpoint)
        self._since_s = 0.0
        self.oversized = OversizedPublishes()
        self.link = LinkState.CONNECTING
        self.connections = 0

    @property
    def connected(self) -> bool:
        """Return whether the broker has accepted this connection and its subscriptions."""
        return self._connection is not None and self._connection.ready

    @property
    def detail(self) -> str:
        """Return what is known about the last loss of the connection, for people."""
        now = "" if self._connection is None else self._connection.detail
        return now if self.connected else now or self._lost_detail

    @property
    def failures(self) -> int:
        """Return how often the connection failed since one lasted."""
        return self._backoff.failures

    @property
    def refused_publishes(self) -> int:
        """Return how many of our messages the broker refused."""
        return self._refused_before + (
            0 if self._connection is None else self._connection.refused_publishes
        )

    @property
    def room(self) -> int:
        """Return how many more QoS 1 messages may be published now."""
        return 0 if self._connection is None else self._connection.room

    @property
    def unacknowledged(self) -> int:
        """Return how many of our messages the broker has neither acknowledged nor refused yet."""
        return 0 if self._connection is None else self._connection.unacknowledged

    def step(self, timeout_s: float) -> list[Arrival]:
        """Connect, read, write and ping as due. Wait at most ``timeout_s``; return what arrived."""
        if self._dialling is not None:
            self._await_dial(*self._dialling, timeout_s)
        elif self._connection is None:
            self._try_to_connect(timeout_s)
        else:
            self._step_connection(self._connection, timeout_s)
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
        """Send with QoS 1. False, with nothing queued, if not connected or the window is full.

        True, and nothing is sent, for a message above what the broker accepts: see ``oversized``.
        """
        if self._connection is None:
            return False
        return self._connection.publish(
            topic, payload, retain=retain, expires_s=expires_s, correlation=correlation
        )

    def fileno(self) -> int | None:
        """Return the socket to wait for, where one loop runs many sessions; None without one."""
        return None if self._connection is None else self._connection.fileno()

    def resubscribe(self) -> None:
        """Subscribe again, so that the broker sends once more what it retains."""
        if self._connection is not None and self.connected:
            self._connection.subscribe()

    def acknowledge(self, arrival: Arrival) -> None:
        """Acknowledge ``arrival`` to the broker, once it was handled."""
        if self._connection is not None:
            self._connection.acknowledge(arrival)

    def give_up(self, why: LinkState) -> None:
        """Drop a connection on which no reply comes; connect again after a delay."""
        self._lose(why, "no reply")

    def close(self, farewell: Will | None = None) -> None:
        """Publish ``farewell``, flush for at most a second and disconnect, without the will."""
        self._wanted = None
        if self._dialling is not None:
            self._dialling[1].abandon()
            self._dialling = None
        if farewell is not None:
            self.publish(farewell.topic, farewell.payload, retain=True)
        deadline = self._monotonic() + 1.0
        while self.connected and self.unacknowledged and self._monotonic() < deadline:
            self.step(0.05)
        if self._connection is not None:
            self._connection.disconnect()
            self._retire(self._connection)

    def _try_to_connect(self, timeout_s: float) -> None:
        wait_s = self._next_try_s - self._monotonic()
        if wait_s > 0 and not self._credentials_changed():
            time.sleep(min(wait_s, timeout_s))
            return
        now = self._now()
        try:
            context = tls_context(self._endpoint, now)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self._lose(LinkState.CREDENTIALS_UNUSABLE, unusable_file(self._endpoint, error))
            return
        self.connections += 1
        self._arrivals.clear()
        connection = MqttConnection(
            self._endpoint,
            self._filters,
            context,
            self.will,
            number=self.connections,
            arrivals=self._arrivals,
            oversized=self.oversized,
            timeout_s=self._connect_timeout_s,
        )
        self._since_s = self._monotonic()
        self._wanted = connection
        attempt = BackgroundCall(
            lambda: connection.dial(lambda sock: self._check_socket(connection, sock, now)),
            undo=connection.drop,
        )
        self._dialling = connection, attempt
        self._await_dial(connection, attempt, timeout_s)

    def _credentials_changed(self) -> bool:
        """Return whether the files were replaced since the last attempt: then it does not wait."""
        seen, self._files = self._files, file_versions(self._endpoint)
        return seen != self._files

    def _check_socket(self, connection: MqttConnection, sock: object, now: Instant) -> None:
        """Check the connection before CONNECT, in the attempt's thread.

        Raises what ends the attempt. An abandoned connection must not identify itself: the broker
        would drop the one in use.
        """
        if self._wanted is not connection:
            raise ConnectionAbortedError("given up")
        check_window(sock, now)

    def _await_dial(
        self, connection: MqttConnection, attempt: BackgroundCall, timeout_s: float
    ) -> None:
        """Wait at most ``timeout_s`` for the attempt. There is only one at a time."""
        if not attempt.wait(timeout_s):
            waited_s = self._monotonic() - self._since_s
            if waited_s > self._connect_timeout_s and self.link is not LinkState.UNREACHABLE:
                self.link, self._lost_detail = (
                    LinkState.UNREACHABLE,
                    "no reply yet from the name server or the broker",
                )
            return
        self._dialling = None
        match attempt.error:
            case None:
                self._connection = connection
                self._since_s = self._monotonic()
            case ssl.SSLCertVerificationError() as error:
                self._lose(LinkState.BROKER_UNTRUSTED, error.verify_message)
            case CertificateExpiredError() as error:
                self._lose(LinkState.BROKER_UNTRUSTED, str(error))
            case ssl.SSLError() as error:
                self._lose(
                    LinkState.CERTIFICATE_REFUSED
                    if "ALERT" in str(error)
                    else LinkState.PROTOCOL_ERROR,
                    str(error),
                )
            case error:
                self._lose(LinkState.UNREACHABLE, str(error) or type(error).__name__)

    def _step_connection(self, connection: MqttConnection, timeout_s: float) -> None:
        ended = connection.step(timeout_s) or connection.drain()
        age_s = self._monotonic() - self._since_s
        if ended is not None:
            self._lose(ended, connection.detail)
        elif connection.ready:
            self.link = LinkState.CONNECTED
            if age_s > PROVEN_S:
                self._backoff = self._backoff.succeeded()
        elif age_s > self._connect_timeout_s:
            self._lose(LinkState.UNREACHABLE, "the broker did not reply to CONNECT and SUBSCRIBE")

    def _lose(self, link: LinkState, detail: str) -> None:
        if self._connection is not None:
            self._connection.drop()
            self._retire(self._connection)
        self.link, self._lost_detail = link, detail
        in_turn = link is LinkState.IDENTITY_TAKEN and self._shares_identity
        self._backoff = self._backoff.failed(permanent=link.is_permanent and not in_turn)
        self._next_try_s = self._monotonic() + self._backoff.delay_s(self._uniform)

    def _retire(self, connection: MqttConnection) -> None:
        self._refused_before += connection.refused_publishes
        self._connection = None
