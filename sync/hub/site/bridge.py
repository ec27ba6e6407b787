"""The line between a site's broker and the platform's: what goes up there goes out, what comes down comes in.

It carries and keeps nothing. What cannot be passed on is dropped, because no broker and no queue is needed for
anything to be safe: devices send again what the platform did not acknowledge. So that they need not wait for their
timers, the site is asked to (``resend``) whenever the line is there again, and each side to say again what it retains.
"""

from __future__ import annotations

import select
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import Command
from sync.wire.topics import VERSION, Down, Topic, site_group

RESEND_EXPIRES_S: Final = 60


@dataclass(slots=True)
class _Direction:
    """One direction. At most a window of messages waits: the broker sends no more until they are acknowledged."""

    source: MqttSession
    target: MqttSession
    waiting: deque[Arrival] = field(default_factory=deque)
    reached: int = (
        0  # the connection of the target that the source's retained messages were last asked for
    )


class Bridge:
    """Joins the session with the site's broker to that with the platform's. ``step`` is the whole of it."""

    def __init__(
        self, here: MqttSession, platform: MqttSession, *, tenant: str, site: str, log: Any
    ) -> None:
        """``log``: a structlog logger."""
        self._here = here
        self._platform = platform
        self._ways = (_Direction(here, platform), _Direction(platform, here))
        self._site = Topic(tenant, site_group(site), Down.COMMAND)
        self._log = log
        self._links: dict[str, LinkState] = {}

    def step(self, timeout_s: float = 0.1) -> None:
        """One turn. Nothing that comes over the network makes it raise."""
        sockets = [
            number
            for session in (self._here, self._platform)
            if (number := session.fileno()) is not None
        ]
        select.select([number for number in sockets if number >= 0], [], [], timeout_s)
        for way in self._ways:
            self._carry(way)
        self._watch("site", self._here)
        self._watch("platform", self._platform)

    def _carry(self, way: _Direction) -> None:
        way.waiting.extend(way.source.step(0.0))
        if way.target.connected and way.source.connected and way.reached != way.target.connections:
            way.reached = way.target.connections
            way.source.resubscribe()
            if way.target is self._platform:
                self._resend()
        while way.waiting:
            message = way.waiting[0]
            if way.target.connected and not _pass_on(message, way.target):
                return  # its window is full
            way.source.acknowledge(way.waiting.popleft())

    def _resend(self) -> None:
        command = codec.encode(Command(dev=self._site.node, type="resend"))
        self._here.publish(str(self._site), command, expires_s=RESEND_EXPIRES_S)

    def _watch(self, side: str, session: MqttSession) -> None:
        if self._links.get(side) is not session.link:
            self._links[side] = session.link
            note = self._log.warning if session.link.is_permanent else self._log.info
            note("link", side=side, state=session.link, detail=session.detail)


def _pass_on(message: Arrival, target: MqttSession) -> bool:
    return target.publish(
        message.topic,
        message.payload,
        retain=message.retained,
        expires_s=message.expires_s,
        correlation=message.correlation,
    )


def up_filters(tenant: str) -> list[str]:
    """What the bridge hears at the site's broker."""
    return [f"{VERSION}/{tenant}/+/up/#"]


def down_filters(tenant: str) -> list[str]:
    """What it hears at the platform's, whose ACL lets through what is for its site."""
    return [f"{VERSION}/{tenant}/+/dn/#"]
