"""The device's status, retained at the broker: published in time, and when it has changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from edge.store import order_cache, outbox
from sync.agent.agent_parts import AgentAddress, AgentParts, AgentSources
from sync.agent.timings import AgentTimings
from sync.wire import codec
from sync.wire.messages import HealthReport, Status
from sync.wire.topics import Up


class StatusPublisher:
    """Publishes the status of one device. Times are monotonic seconds."""

    def __init__(
        self, address: AgentAddress, parts: AgentParts, sources: AgentSources, timings: AgentTimings
    ) -> None:
        self._address = address
        self._parts = parts
        self._sources = sources
        self._timings = timings
        self._due_s = 0.0
        self._health_due_s = 0.0
        self._health: HealthReport | None = None  # as last published
        self._dropped: int | None = None  # orders, as last reported

    @property
    def topic(self) -> str:
        """Return where the status is retained."""
        return self._address.topic(Up.STATUS)

    def offline(self) -> bytes:
        """Return what the broker retains as this device's status when it is gone."""
        return codec.encode(self._status("offline"))

    def note_orders(self) -> None:
        """Publish with the next step if other orders were dropped than was reported."""
        if self._dropped != order_cache.feed_state(self._parts.store).dropped:
            self._due_s = 0.0

    def is_due(self, problems: Iterable[str], monotonic_s: float) -> bool:
        """Return whether the counts are old, or the health is another than the platform has."""
        if monotonic_s >= self._due_s:
            return True
        return monotonic_s >= self._health_due_s and self._sources.health(problems) != self._health

    def publish(self, problems: Iterable[str], monotonic_s: float) -> None:
        """Publish the status. ``problems`` are the names of this process's own."""
        self._due_s = monotonic_s + self._timings.status_every_s
        self._health_due_s = monotonic_s + self._timings.health_status_every_s
        self._health = self._sources.health(problems)
        self._parts.session.publish(self.topic, codec.encode(self._status("online")), retain=True)

    def _status(self, state: Literal["online", "offline"]) -> Status:
        store = self._parts.store
        epoch, last_seq = outbox.current_epoch(store)
        feed = order_cache.feed_state(store)
        self._dropped = feed.dropped
        return Status(
            dev=self._address.device,
            state=state,
            epoch=epoch,
            last_seq=last_seq,
            acknowledged_through=outbox.acknowledged_through(store, epoch),
            incarnation=feed.incarnation.hex(),
            orders_revision=feed.revision,
            orders_dropped=feed.dropped,
            rungs=self._sources.rungs(),
            health=self._health if state == "online" else None,
        )
