"""The bridge between a site's broker and the platform's: it forwards messages both ways.

It stores nothing. A message that cannot be forwarded is dropped, because safety depends on no
broker and no queue: devices send again what the platform did not acknowledge. To spare them the
wait for their timers, the bridge sends the site a ``resend`` command when the line returns. It
also subscribes again on each side, so that retained messages are repeated.
"""

from __future__ import annotations

import select
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from structlog.typing import FilteringBoundLogger

from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import Command
from sync.wire.topics import VERSION, Down, Topic, site_group

RESEND_EXPIRES_S: Final = 60


@dataclass(slots=True)
class _Direction:
    """One direction.

    At most one receive window of messages waits: the broker sends no more before they are
    acknowledged.
    """

    source: MqttSession
    target: MqttSession
    waiting: deque[Arrival] = field(default_factory=deque)
    # The target's connection for which the source was last asked for its retained messages.
    reached: int = 0


class Bridge:
    """Connects the site's session to the platform's. Call ``step`` in a loop."""

    def __init__(
        self,
        here: MqttSession,
        platform: MqttSession,
        *,
        tenant: str,
        site: str,
        log: FilteringBoundLogger,
    ) -> None:
        """Connect ``here`` to ``platform``."""
        self._here = here
        self._platform = platform
        self._directions = (_Direction(here, platform), _Direction(platform, here))
        self._site = Topic(tenant, site_group(site), Down.COMMAND)
        self._log = log
        self._links: dict[str, LinkState] = {}

    def step(self, timeout_s: float = 0.1) -> None:
        """Run one turn. No message from the network makes it raise."""
        sockets = [
            number
            for session in (self._here, self._platform)
            if (number := session.fileno()) is not None
        ]
        select.select([number for number in sockets if number >= 0], [], [], timeout_s)
        for direction in self._directions:
            self._forward(direction)
        self._watch("site", self._here)
        self._watch("platform", self._platform)

    def _forward(self, direction: _Direction) -> None:
        direction.waiting.extend(direction.source.step(0.0))
        if (
            direction.target.connected
            and direction.source.connected
            and direction.reached != direction.target.connections
        ):
            direction.reached = direction.target.connections
            direction.source.resubscribe()
            if direction.target is self._platform:
                self._resend()
        while direction.waiting:
            message = direction.waiting[0]
            if direction.target.connected and not _publish_to(message, direction.target):
                return  # its window is full
            direction.source.acknowledge(direction.waiting.popleft())

    def _resend(self) -> None:
        command = codec.encode(Command(dev=self._site.node, type="resend"))
        self._here.publish(str(self._site), command, expires_s=RESEND_EXPIRES_S)

    def _watch(self, side: str, session: MqttSession) -> None:
        if self._links.get(side) is not session.link:
            self._links[side] = session.link
            note = self._log.warning if session.link.is_permanent else self._log.info
            note("link", side=side, state=session.link, detail=session.detail)
        session.oversized.log_news(self._log)


def _publish_to(message: Arrival, target: MqttSession) -> bool:
    return target.publish(
        message.topic,
        message.payload,
        retain=message.retained,
        expires_s=message.expires_s,
        correlation=message.correlation,
    )


def up_filters(tenant: str) -> list[str]:
    """Return the bridge's subscriptions at the site's broker."""
    return [f"{VERSION}/{tenant}/+/up/#"]


def down_filters(tenant: str) -> list[str]:
    """Return its subscriptions at the platform's broker.

    That broker's ACL lets through only what is for the bridge's site.
    """
    return [f"{VERSION}/{tenant}/+/dn/#"]
