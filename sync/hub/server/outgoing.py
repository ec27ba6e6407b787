"""Messages that wait until the session has room for them."""

from __future__ import annotations

from collections.abc import Callable

from sync.mqtt.session import MqttSession
from sync.wire.topics import Down, Topic


class OutgoingMessages:
    """A queue in front of one session. Nothing in it must survive: devices ask again."""

    def __init__(
        self, session: MqttSession, *, tenant: str, monotonic: Callable[[], float]
    ) -> None:
        self._session = session
        self._tenant = tenant
        self._monotonic = monotonic
        self._waiting: list[tuple[str, bytes]] = []  # topics and payloads, in order
        self._stuck_since_s: float | None = None  # monotonic

    def __bool__(self) -> bool:
        """Return whether a message waits."""
        return bool(self._waiting)

    def add(self, node: str, channel: Down, payload: bytes) -> None:
        """Append a message."""
        self._waiting.append((str(Topic(self._tenant, node, channel)), payload))

    def clear(self) -> None:
        """Drop everything: the connection is lost."""
        self._waiting.clear()

    def flush(self) -> None:
        """Publish as many as the session has room for."""
        sent = 0
        for topic, payload in self._waiting:
            if not self._session.publish(topic, payload):
                break
            sent += 1
        del self._waiting[:sent]
        if not self._waiting:
            self._stuck_since_s = None
        elif sent or self._stuck_since_s is None:
            self._stuck_since_s = self._monotonic()

    @property
    def oldest_age_s(self) -> float:
        """Return for how long a message has waited; 0 when none waits."""
        return 0.0 if self._stuck_since_s is None else self._monotonic() - self._stuck_since_s
