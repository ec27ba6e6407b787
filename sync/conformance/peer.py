"""One end of the protocol, played by the conformance checks: publish, and wait for what answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from edge.values.errors import EdgeError
from sync.mqtt.endpoint import Arrival
from sync.mqtt.session import MqttSession

T = TypeVar("T")
CONNECT_S = 10.0


class PeerError(EdgeError):
    """The broker cannot be used; the message says why."""


class CheckFailed(Exception):  # noqa: N818 - an outcome of the world, raised and caught inside this room
    """The other end does not keep to the protocol; the message says how."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: what the other end must do, and why it does not; empty: it does."""

    title: str
    fault: str

    @property
    def held(self) -> bool:
        """Return whether there is no fault."""
        return not self.fault


def run_checks(checks: Iterable[Callable[[], None]]) -> Iterator[CheckResult]:
    """Yield the result of each check in turn. Its docstring is the title.

    A check raises CheckFailed. Raises PeerError when the broker is gone.
    """
    for check in checks:
        fault = ""
        try:
            check()
        except CheckFailed as failed:
            fault = str(failed)
        yield CheckResult(" ".join((check.__doc__ or "").split()).rstrip("."), fault)


def expect(held: object, fault: str) -> None:
    """Raise CheckFailed with ``fault`` unless ``held`` is true."""
    if not held:
        raise CheckFailed(fault)


class Peer:
    """A session and the messages that arrived over it."""

    def __init__(self, session: MqttSession) -> None:
        self._session = session
        self._waiting: list[Arrival] = []
        self.read: list[Arrival] = []  # all messages that were examined or dropped

    def connect(self) -> None:
        """Connect. Raises PeerError after ten seconds."""
        deadline = time.monotonic() + CONNECT_S
        while not self._session.connected:
            self._waiting += self._session.step(0.05)
            if time.monotonic() > deadline or self._session.failures:
                why = f"{self._session.link} {self._session.detail}".strip()
                raise PeerError(f"no connection to the broker: {why}")

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish. Raises PeerError when the connection is gone or the message is too large."""
        if not self._session.publish(topic, payload):
            why = f"{self._session.link} {self._session.detail}".strip()
            raise PeerError(f"the connection to the broker is gone: {why}")
        if self._session.oversized.count:
            raise PeerError(f"not sent: {self._session.oversized.detail}")

    def wait_for(self, wanted: Callable[[Arrival], T | None], timeout_s: float) -> T | None:
        """Return what ``wanted`` makes of the first message that it does not return None for.

        Messages before it are dropped. Return None when no such message came in time.
        """
        for arrival in self._arrivals(timeout_s):
            found = wanted(arrival)
            if found is not None:
                return found
        return None

    def drop_waiting(self) -> None:
        """Drop the messages that have arrived."""
        for _ in self._arrivals(0.2):
            pass

    def close(self) -> None:
        """Disconnect."""
        self._session.close()

    def _arrivals(self, timeout_s: float) -> Iterator[Arrival]:
        deadline = time.monotonic() + timeout_s
        while self._waiting or time.monotonic() < deadline:
            if self._waiting:
                self.read.append(self._waiting.pop(0))
                yield self.read[-1]
                continue
            for arrival in self._session.step(0.02):
                self._session.acknowledge(arrival)
                self._waiting.append(arrival)
