"""Client of the hub, over the broker: send requests, and receive what devices report."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from edge.values.node_name import OPS
from edge.values.printable import printable
from edge.values.uuid7 import uuid7
from sync.fleet.fleet_file import FleetFile
from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.fleet_requests import LARGEST, FleetAction, FleetRequest, FleetResponse
from sync.wire.messages import MessageRefusal
from sync.wire.topics import Down, Topic, Up, parse_topic

CONNECT_TIMEOUT_S: Final = 15.0
UNREACHABLE_TIMEOUT_S: Final = 4.0  # a broker that is starting gets a second attempt
REPLY_TIMEOUT_S: Final = 15.0
RESEND_AFTER_S: Final = 3.0
# IDENTITY_TAKEN: another edge-fleet runs with the same identity, and the two take turns.
_TEMPORARY: Final = {LinkState.IDENTITY_TAKEN}


class HubClient:
    """One connection with the identity of operations.

    Every failure outside this program raises ClickException with what to do.
    """

    def __init__(
        self,
        fleet: FleetFile,
        *,
        subscribe: tuple[Up, ...] = (),
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._fleet = fleet
        self._reports: list[Arrival] = []
        filters = [str(Topic(fleet.tenant, OPS, Down.RESPONSE))]
        filters += [f"v1/{fleet.tenant}/+/up/{channel}" for channel in subscribe]
        self._session = MqttSession(fleet.endpoint, filters, uniform=uniform, shares_identity=True)

    def connect(self) -> None:
        """Connect. Raises ClickException with the reason when that fails."""
        began_s = time.monotonic()
        while not self._session.connected:
            self._reports += self._session.step(0.2)
            link, waited_s = self._session.link, time.monotonic() - began_s
            unreachable = link is LinkState.UNREACHABLE
            timeout_s = UNREACHABLE_TIMEOUT_S if unreachable else CONNECT_TIMEOUT_S
            permanent = link.is_permanent and link not in _TEMPORARY
            if permanent or waited_s > timeout_s:
                where = f"{self._fleet.endpoint.host}:{self._fleet.endpoint.port}"
                reason = f"{link}: {self._session.detail}" if self._session.detail else str(link)
                raise click.ClickException(f"the broker at {where} cannot be used: {reason}")

    def request(self, action: FleetAction, **args: Any) -> dict[str, Any]:
        """Send a request to the hub and return the result of its reply."""
        request = FleetRequest(
            id=uuid7(time.time_ns() // 1_000_000, os.urandom(10)), action=action, args=args
        )
        topic = str(Topic(self._fleet.tenant, OPS, Up.REQUEST))
        payload = request.model_dump_json().encode()
        deadline_s, send_at_s = time.monotonic() + REPLY_TIMEOUT_S, 0.0
        while time.monotonic() < deadline_s:
            # Send again: a hub that was starting has not received the first request.
            if time.monotonic() >= send_at_s and self._session.publish(
                topic, payload, expires_s=int(REPLY_TIMEOUT_S)
            ):
                send_at_s = time.monotonic() + RESEND_AFTER_S
            if self._session.oversized.count:
                raise click.ClickException(
                    f"the request is too large: {self._session.oversized.detail}"
                )
            for arrival in self._step(0.1):
                reply = codec.decode(FleetResponse, arrival.payload, largest=LARGEST)
                if isinstance(reply, MessageRefusal) or reply.id != request.id:
                    continue
                if not reply.ok:
                    raise click.ClickException(printable(reply.error))
                return reply.result
        raise click.ClickException(
            "the hub does not reply: does edge-hub run, at this broker and for this tenant?"
        )

    def receive(self, timeout_s: float) -> list[tuple[Topic, Arrival]]:
        """Return what devices have published since the last call.

        Waits up to ``timeout_s`` seconds when nothing has arrived yet.
        """
        self._step(timeout_s if not self._reports else 0.0)
        reports, self._reports = self._reports, []
        parsed = [(parse_topic(arrival.topic), arrival) for arrival in reports]
        return [(topic, arrival) for topic, arrival in parsed if topic is not None]

    def close(self) -> None:
        """Disconnect."""
        self._session.close()

    def _step(self, timeout_s: float) -> list[Arrival]:
        """Run the connection for ``timeout_s``; return replies, and set reports aside."""
        replies = []
        for arrival in self._session.step(timeout_s):
            self._session.acknowledge(arrival)
            topic = parse_topic(arrival.topic)
            if topic is not None and topic.channel is Down.RESPONSE:
                replies.append(arrival)
            else:
                self._reports.append(arrival)
        return replies


@contextmanager
def hub_client(fleet: FleetFile, *, subscribe: tuple[Up, ...] = ()) -> Iterator[HubClient]:
    """Connect, and disconnect at the end whatever happens."""
    client = HubClient(fleet, subscribe=subscribe)
    client.connect()
    try:
        yield client
    finally:
        client.close()


def held_detail(client: HubClient) -> str | None:
    """Return why the hub is held; None: it is not."""
    held = client.request(FleetAction.HUB)["held"]
    return None if held is None else str(held["detail"])


def every_device(client: HubClient) -> list[dict[str, Any]]:
    """Return what the hub knows of each device, page by page."""
    devices: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = client.request(FleetAction.DEVICES, after=after)
        devices += page["devices"]
        after = page["next"]
    return devices
