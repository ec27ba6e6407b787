"""A part of a simulated fleet, in a process of its own: real sessions over TLS, the wire's messages, no store.

``python -m benchmarks.simulated`` reads one line of JSON (``endpoints``, ``tenant``), then commands, one a line:
``connect``, ``tell N`` (each device has N events acknowledged, one after another), ``watch`` (until all have come back)
and ``end``. Each is answered with one line of JSON. Times are of the system's monotonic clock.
"""

from __future__ import annotations

import gc
import io
import json
import random
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from sync import wire
from sync.link import Endpoint
from sync.session import Session
from sync.topics import Down, Topic, Up
from sync.wire import Ack, Event

RESEND_S = 5.0
IDLE_STEP_S, DIAL_STEP_S = 1.0, 0.03  # how often a device is stepped that nothing came for
COMMANDS = io.FileIO(0, closefd=False)  # unbuffered: it is waited for
DIALLING = 5  # of a part at once, where it is not a storm
MOST_DEVICES = 150  # a process: paho has three files a client and waits with select(), which knows 1,024


@dataclass(slots=True)
class Device:
    """One device: its session, and how far it is."""

    name: str
    tenant: str
    session: Session
    epoch: str
    seq: int = 0
    settled: int = 0
    left: int = 0
    sent_s: float = 0.0
    attempts: list[float] = field(default_factory=list)
    back_s: float = 0.0

    def step(self, now_s: float) -> None:
        """What a device does, but for its store."""
        before = self.session.connections
        for arrival in self.session.step(0.0):
            self.session.acknowledge(arrival)
            if arrival.topic.endswith(f"/{Down.ACK}"):
                ack = wire.decode_ack(arrival.payload, dev=self.name)
                if isinstance(ack, Ack) and ack.epoch == self.epoch and ack.last == self.seq <= ack.acked_through:
                    self.settled = self.seq
        if self.session.connections != before:
            self.attempts.append(time.monotonic())
        if self.left and self.settled == self.seq:
            self.left -= 1
            if self.left:
                self._next(now_s)
        elif self.left and now_s - self.sent_s > RESEND_S:
            self._send(now_s)

    def tell(self, events: int, now_s: float) -> None:
        """Have ``events`` more acknowledged."""
        self.left = events
        self._next(now_s)

    def _next(self, now_s: float) -> None:
        self.seq += 1
        self._send(now_s)

    def _send(self, now_s: float) -> None:
        body: dict[str, JsonValue] = {
            "cti": f"{self.seq:08x}{self.epoch[8:]}",
            "use": 1,
            "units": 1,
            "order": "A-1",
            "kind": "write_off",
        }
        event = Event(
            seq=self.seq, id=f"{self.epoch[:24]}-{self.seq}", ts=int(time.time()), ts_trust="trusted",
            type="redeemed", body=body,
        )  # fmt: skip
        encoded = wire.encode_event(event)
        assert isinstance(encoded, bytes)
        payload = wire.encode_batch(self.name, self.epoch, self.settled, 0, [encoded])
        self.session.publish(str(Topic(self.tenant, self.name, Up.EVENTS)), payload)
        self.sent_s = now_s


def main() -> None:
    """Serve commands until ``end``."""
    said = json.loads(COMMANDS.readline())
    devices = [_device(Endpoint(**endpoint), said["tenant"]) for endpoint in said["endpoints"]]
    while line := _command(devices):
        match line.split():
            case ["connect"]:
                _answer(_connect(devices))
            case ["tell", events]:
                for device in devices:
                    device.tell(int(events), time.monotonic())
                _answer(_until(devices, lambda device: device.left == 0))
            case ["watch"]:
                _answer(_storm(devices))
            case _:
                break
    for device in devices:
        device.session.close()


def _device(endpoint: Endpoint, tenant: str) -> Device:
    filters = [f"v1/{tenant}/{endpoint.client_id}/dn/#"]
    epoch = f"{random.getrandbits(128):032x}"
    return Device(endpoint.client_id, tenant, Session(endpoint, filters, uniform=random.uniform), epoch)


def _turn(devices: list[Device], due: dict[str, float], *, commands: bool = False) -> bool:
    """Step those that something came for, and each of the others at times. True when a command has come."""
    files = {number: device for device in devices if (number := device.session.fileno()) not in (None, -1)}
    poll = select.poll()
    for number in files:
        poll.register(number, select.POLLIN)
    if commands:
        poll.register(COMMANDS, select.POLLIN)
    ready = [number for number, _ in poll.poll(20)]
    now_s = time.monotonic()
    for number in ready:
        if number in files:
            due[files[number].name] = 0.0
    for device in devices:
        if now_s >= due.get(device.name, 0.0):
            device.step(now_s)
            due[device.name] = now_s + (IDLE_STEP_S if device.session.connected else DIAL_STEP_S)
    return commands and COMMANDS.fileno() in ready


def _command(devices: list[Device]) -> str:
    """The next line of the standard input; meanwhile the devices live on."""
    up = [device for device in devices if device.attempts]
    due: dict[str, float] = {}
    while not _turn(up, due, commands=True):
        pass
    return COMMANDS.readline().decode()


def _connect(devices: list[Device]) -> dict[str, Any]:
    """A few at a time: this is no storm."""
    began = time.monotonic()
    due: dict[str, float] = {}
    while not all(device.session.connected for device in devices):
        waiting = [device for device in devices if not device.session.connected]
        _turn([device for device in devices if device.session.connected] + waiting[:DIALLING], due)
    return {"began": began, "ended": time.monotonic()}


def _until(devices: list[Device], done: Callable[[Device], bool]) -> dict[str, Any]:
    began = time.monotonic()
    due: dict[str, float] = {}
    while not all(done(device) for device in devices):
        _turn(devices, due)
    return {"began": began, "ended": time.monotonic()}


def _storm(devices: list[Device]) -> dict[str, Any]:
    """From the loss of the connection until all are back: when each tried, and when it was back."""
    lost: set[str] = set()
    sweep_s = 0.0
    due: dict[str, float] = {}
    for device in devices:
        device.attempts.clear()
        device.back_s = 0.0
    while not all(device.back_s for device in devices):
        if _turn(devices, due) or time.monotonic() > sweep_s:
            gc.collect()  # of failed attempts, whose files would add up
            sweep_s = time.monotonic() + 1.0
        for device in devices:
            if not device.session.connected:
                lost.add(device.name)
            elif device.name in lost and not device.back_s:
                device.back_s = time.monotonic()
    attempts = sorted(at for device in devices for at in device.attempts)
    return {"attempts": attempts, "back": sorted(device.back_s for device in devices)}


def _answer(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
