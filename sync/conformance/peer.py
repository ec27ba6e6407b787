"""One end of the protocol, played by hand: say something, wait for what answers it. For the conformance checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from sync.mqtt.endpoint import Arrival
from sync.mqtt.session import MqttSession

T = TypeVar("T")
CONNECT_S = 10.0


class PeerError(Exception):
    """The broker cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: what was asked of the other end, and why it fell short; empty: it did not."""

    title: str
    fault: str

    @property
    def held(self) -> bool:
        """True when there is no fault."""
        return not self.fault


class Peer:
    """A session, and what has come over it and was not looked at yet."""

    def __init__(self, session: MqttSession) -> None:
        self._session = session
        self._waiting: list[Arrival] = []
        self.heard: list[Arrival] = []  # all that was looked at or dropped

    def connect(self) -> None:
        """Raises LineError after ten seconds."""
        deadline = time.monotonic() + CONNECT_S
        while not self._session.connected:
            self._waiting += self._session.step(0.05)
            if time.monotonic() > deadline or self._session.failures:
                raise PeerError(
                    f"no connection to the broker: {self._session.link} {self._session.detail}".strip()
                )

    def say(self, topic: str, payload: bytes) -> None:
        """Publish. Raises LineError when the connection is gone."""
        if not self._session.publish(topic, payload):
            raise PeerError(
                f"the connection to the broker is gone: {self._session.link} {self._session.detail}"
            )

    def hear(self, wanted: Callable[[Arrival], T | None], timeout_s: float) -> T | None:
        """The first that ``wanted`` makes something of; what came before it is dropped. None when none came."""
        for arrival in self._arrivals(timeout_s):
            found = wanted(arrival)
            if found is not None:
                return found
        return None

    def quiet(self) -> None:
        """Drop what is here."""
        for _ in self._arrivals(0.2):
            pass

    def close(self) -> None:
        """Say goodbye."""
        self._session.close()

    def _arrivals(self, timeout_s: float) -> Iterator[Arrival]:
        deadline = time.monotonic() + timeout_s
        while self._waiting or time.monotonic() < deadline:
            if self._waiting:
                self.heard.append(self._waiting.pop(0))
                yield self.heard[-1]
                continue
            for arrival in self._session.step(0.02):
                self._session.acknowledge(arrival)
                self._waiting.append(arrival)
