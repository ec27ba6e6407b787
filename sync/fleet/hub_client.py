"""A conversation with the hub over the broker: ask, and hear what devices say."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from edge.values.uuid7 import uuid7
from sync.fleet.fleet_file import FleetFile
from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.fleet_requests import LARGEST, FleetAction, FleetRequest, FleetResponse
from sync.wire.messages import MessageRefusal
from sync.wire.topics import OPS, Down, Topic, Up, parse_topic

CONNECT_S: Final = 15.0
UNREACHABLE_S: Final = 4.0  # a broker that is just starting gets a second try
ANSWER_S: Final = 15.0
ASK_AGAIN_S: Final = 3.0
_MENDS: Final = {
    LinkState.IDENTITY_TAKEN
}  # another edge-fleet runs, with the same identity: they take turns


class HubClient:
    """One connection with the ops identity. Raises ClickException for whatever the world does."""

    def __init__(
        self,
        place: FleetFile,
        *,
        hear: tuple[Up, ...] = (),
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._place = place
        self._heard: list[Arrival] = []
        filters = [str(Topic(place.tenant, OPS, Down.RESPONSE))]
        filters += [f"v1/{place.tenant}/+/up/{channel}" for channel in hear]
        self._session = MqttSession(place.endpoint, filters, uniform=uniform, shares_identity=True)

    def connect(self) -> None:
        """Connect, or say why not."""
        began_s = time.monotonic()
        while not self._session.connected:
            self._heard += self._session.step(0.2)
            link, waited_s = self._session.link, time.monotonic() - began_s
            hopeless = link.hopeless and link not in _MENDS
            if hopeless or waited_s > (
                UNREACHABLE_S if link is LinkState.UNREACHABLE else CONNECT_S
            ):
                where = f"{self._place.endpoint.host}:{self._place.endpoint.port}"
                words = (
                    f"{self._session.link}: {self._session.detail}"
                    if self._session.detail
                    else self._session.link
                )
                raise click.ClickException(f"the broker at {where} cannot be used: {words}")

    def ask(self, action: FleetAction, **args: Any) -> dict[str, Any]:
        """Ask the hub and return its answer's result."""
        request = FleetRequest(
            id=uuid7(time.time_ns() // 1_000_000, os.urandom(10)), action=action, args=args
        )
        topic, payload = (
            str(Topic(self._place.tenant, OPS, Up.REQUEST)),
            request.model_dump_json().encode(),
        )
        deadline_s, due_s = time.monotonic() + ANSWER_S, 0.0
        while time.monotonic() < deadline_s:
            if time.monotonic() >= due_s and self._session.publish(
                topic, payload, expires_s=int(ANSWER_S)
            ):
                due_s = (
                    time.monotonic() + ASK_AGAIN_S
                )  # a hub that was just starting did not hear it
            for arrival in self._turn(0.1):
                response = codec.decode(FleetResponse, arrival.payload, largest=LARGEST)
                if isinstance(response, MessageRefusal) or response.id != request.id:
                    continue
                if not response.ok:
                    raise click.ClickException(response.error)
                return response.result
        raise click.ClickException(
            "the hub does not answer: does edge-hub run, at this broker and for this tenant?"
        )

    def hear(self, timeout_s: float) -> list[tuple[Topic, Arrival]]:
        """What devices have said since the last time, waiting up to ``timeout_s`` for something."""
        self._turn(timeout_s if not self._heard else 0.0)
        heard, self._heard = self._heard, []
        named = [(parse_topic(arrival.topic), arrival) for arrival in heard]
        return [(topic, arrival) for topic, arrival in named if topic is not None]

    def close(self) -> None:
        """Say goodbye."""
        self._session.close()

    def _turn(self, timeout_s: float) -> list[Arrival]:
        answers = []
        for arrival in self._session.step(timeout_s):
            self._session.acknowledge(arrival)
            topic = parse_topic(arrival.topic)
            if topic is not None and topic.channel is Down.RESPONSE:
                answers.append(arrival)
            else:
                self._heard.append(arrival)
        return answers


@contextmanager
def hub_client(place: FleetFile, *, hear: tuple[Up, ...] = ()) -> Iterator[HubClient]:
    """Connect, and say goodbye at the end whatever happens."""
    talk = HubClient(place, hear=hear)
    talk.connect()
    try:
        yield talk
    finally:
        talk.close()


def every_device(talk: HubClient) -> list[dict[str, Any]]:
    """What the hub knows of every device."""
    devices: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = talk.ask(FleetAction.DEVICES, after=after)
        devices += page["devices"]
        after = page["next"]
    return devices
