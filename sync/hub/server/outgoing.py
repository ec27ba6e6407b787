"""Messages that wait until the session has room for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sync.mqtt.session import MqttSession
from sync.wire.topics import Down, Topic


class OutgoingMessages:
    """A queue in front of one session. Nothing in it must survive: devices ask again.

    Pages of orders come after everything else, since one request brings megabytes of them.
    """

    def __init__(
        self, session: MqttSession, *, tenant: str, monotonic: Callable[[], float]
    ) -> None:
        self._session = session
        self._tenant = tenant
        self._monotonic = monotonic
        self._waiting: list[tuple[str, bytes]] = []  # topics and payloads, in order
        self._pages: list[tuple[str, bytes]] = []
        self._pages_of: Counter[str] = Counter()  # waiting, by topic
        self._stuck_since_s: float | None = None  # monotonic

    def __bool__(self) -> bool:
        """Return whether a message waits."""
        return bool(self._waiting or self._pages)

    def add(self, node: str, channel: Down, payload: bytes) -> None:
        """Append a message."""
        topic = str(Topic(self._tenant, node, channel))
        if channel is Down.ORDERS:
            self._pages.append((topic, payload))
            self._pages_of[topic] += 1
        else:
            self._waiting.append((topic, payload))

    def has_pages(self, node: str) -> bool:
        """Return whether pages of orders for ``node`` still wait."""
        return self._pages_of[str(Topic(self._tenant, node, Down.ORDERS))] > 0

    def mark(self) -> tuple[int, int]:
        """Return a mark for ``cut``."""
        return len(self._waiting), len(self._pages)

    def cut(self, mark: tuple[int, int]) -> None:
        """Drop what was added since ``mark``. Nothing may have been published meanwhile."""
        messages, pages = mark
        del self._waiting[messages:]
        self._remove_pages(slice(pages, None))

    def clear(self) -> None:
        """Drop everything: the connection is lost."""
        self._waiting.clear()
        self._remove_pages(slice(None))

    def flush(self) -> None:
        """Publish as many as the session has room for."""
        sent = self._publish(self._waiting)
        del self._waiting[:sent]
        if not self._waiting:
            pages = self._publish(self._pages)
            self._remove_pages(slice(pages))
            sent += pages
        if not self:
            self._stuck_since_s = None
        elif sent or self._stuck_since_s is None:
            self._stuck_since_s = self._monotonic()

    @property
    def oldest_age_s(self) -> float:
        """Return for how long a message has waited; 0 when none waits."""
        return 0.0 if self._stuck_since_s is None else self._monotonic() - self._stuck_since_s

    def _publish(self, messages: list[tuple[str, bytes]]) -> int:
        """Publish the first messages, and return how many."""
        for number, (topic, payload) in enumerate(messages):
            if not self._session.publish(topic, payload):
                return number
        return len(messages)

    def _remove_pages(self, which: slice) -> None:
        self._pages_of -= Counter(topic for topic, _ in self._pages[which])
        del self._pages[which]
