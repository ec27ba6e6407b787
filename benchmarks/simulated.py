"""Part of a simulated fleet, in its own process: real TLS sessions and messages, no store.

``python -m benchmarks.simulated`` reads one line of JSON (``endpoints``, ``tenant``), then a
command on each line. It replies to each with one line of JSON. Times are of the system's
monotonic clock.

``connect``
    connect every device.
``send N``
    send N events of each device, one after another, until each is acknowledged.
``watch``
    wait until every device has lost its connection and is connected again.
``end``
    end the process.
"""

from __future__ import annotations

import gc
import io
import json
import random
import select
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from sync.mqtt.endpoint import Endpoint
from sync.mqtt.session import MqttSession
from sync.wire import codec
from sync.wire.messages import Ack, Event
from sync.wire.topics import Down, Topic, Up

RESEND_S = 5.0
IDLE_STEP_S, DIAL_STEP_S = 3.0, 0.03  # how often an idle device is stepped
COMMANDS = io.FileIO(0, closefd=False)  # unbuffered, because it is polled
DIALLING = 5  # devices that connect at the same time, except in a storm
MOST_DEVICES = 150  # in a process: paho uses three files a client, and select() is limited to 1,024


@dataclass(slots=True)
class Device:
    """One device: its session, and its progress."""

    name: str
    tenant: str
    session: MqttSession
    epoch: str
    seq: int = 0
    acknowledged: int = 0
    left: int = 0
    sent_s: float = 0.0
    attempts: list[float] = field(default_factory=list)
    reconnected_s: float = 0.0

    def step(self, now_s: float, *, wait_s: float = 0.0) -> None:
        """Do what a device does, except for its store. Wait at most ``wait_s`` for a message."""
        before = self.session.connections
        for arrival in self.session.step(wait_s):
            self.session.acknowledge(arrival)
            if arrival.topic.endswith(f"/{Down.ACK}"):
                ack = codec.decode_addressed(Ack, arrival.payload, dev=self.name)
                if (
                    isinstance(ack, Ack)
                    and ack.epoch == self.epoch
                    and ack.last == self.seq <= ack.committed_through
                ):
                    self.acknowledged = self.seq
        if self.session.connections != before:
            self.attempts.append(time.monotonic())
        if self.left and self.acknowledged == self.seq:
            self.left -= 1
            if self.left:
                self._next(now_s)
        elif self.left and now_s - self.sent_s > RESEND_S:
            self._send(now_s)

    def send_events(self, events: int, now_s: float) -> None:
        """Send ``events`` more, one after another, until each is acknowledged."""
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
            seq=self.seq,
            id=f"{self.epoch[:24]}-{self.seq}",
            ts=int(time.time()),
            ts_trust="trusted",
            type="redeemed",
            body=body,
        )
        encoded = codec.encode_event(event)
        assert isinstance(encoded, bytes)
        payload = codec.encode_batch(self.name, self.epoch, self.acknowledged, 0, [encoded])
        self.session.publish(str(Topic(self.tenant, self.name, Up.EVENTS)), payload)
        self.sent_s = now_s


class DeviceLoop:
    """Devices in one loop: each is stepped when data has arrived for it, and from time to time."""

    def __init__(self, devices: list[Device]) -> None:
        self.devices = devices
        self._poll = select.epoll()
        self._poll.register(COMMANDS, select.EPOLLIN)
        self._number: dict[str, int] = {}  # the polled socket of each device
        self._device: dict[int, Device] = {}
        self._due_s = dict.fromkeys((device.name for device in devices), 0.0)
        self._sweep_s = 0.0

    def step(self, *, dialling: int | None = None) -> bool:
        """Step the devices that are due. Return whether a command has arrived.

        Of the devices without a connection only the first ``dialling`` are stepped.
        """
        ready = [number for number, _ in self._poll.poll(DIAL_STEP_S)]
        now_s = time.monotonic()
        for number in ready:
            if number in self._device:
                self._step(self._device[number], now_s)
        if now_s >= self._sweep_s:
            self._sweep_s = now_s + DIAL_STEP_S
            disconnected = [device for device in self.devices if not device.session.connected]
            due = [
                device
                for device in self.devices
                if device.session.connected and now_s >= self._due_s[device.name]
            ]
            for device in due + disconnected[:dialling]:
                self._step(device, now_s)
        return COMMANDS.fileno() in ready

    def until(self, done: Callable[[], bool], *, dialling: int | None = None) -> dict[str, Any]:
        """Step until ``done``, and return when that began and ended."""
        began = time.monotonic()
        while not done():
            self.step(dialling=dialling)
        return {"began": began, "ended": time.monotonic()}

    def _step(self, device: Device, now_s: float) -> None:
        device.step(now_s)
        self._due_s[device.name] = now_s + IDLE_STEP_S
        number, known = device.session.fileno(), self._number.get(device.name)
        if number == known:
            return
        if known is not None and self._device.get(known) is device:
            del self._device[known]  # closed, and so no longer polled
        if number is None or number < 0:
            self._number.pop(device.name, None)
            return
        self._number[device.name], self._device[number] = number, device
        with suppress(FileExistsError):
            self._poll.register(number, select.EPOLLIN)


def main() -> None:
    """Serve commands until ``end``."""
    setup = json.loads(COMMANDS.readline())
    loop = DeviceLoop(
        [_device(Endpoint(**endpoint), setup["tenant"]) for endpoint in setup["endpoints"]]
    )
    devices = loop.devices
    while line := _command(loop):
        match line.split():
            case ["connect"]:
                _reply(
                    loop.until(
                        lambda: all(device.session.connected for device in devices),
                        dialling=DIALLING,
                    )
                )
            case ["send", events]:
                for device in devices:
                    device.send_events(int(events), time.monotonic())
                _reply(loop.until(lambda: not any(device.left for device in devices)))
            case ["watch"]:
                _reply(_storm(loop))
            case _:
                break
    for device in devices:
        device.session.close()


def _device(endpoint: Endpoint, tenant: str) -> Device:
    filters = [f"v1/{tenant}/{endpoint.client_id}/dn/#"]
    epoch = f"{random.getrandbits(128):032x}"
    return Device(
        endpoint.client_id, tenant, MqttSession(endpoint, filters, uniform=random.uniform), epoch
    )


def _command(loop: DeviceLoop) -> str:
    """Return the next line of standard input; meanwhile step the connected devices."""
    while not loop.step(dialling=0):
        pass
    return COMMANDS.readline().decode()


def _storm(loop: DeviceLoop) -> dict[str, Any]:
    """Wait until all devices have reconnected; return when each tried and when it succeeded."""
    lost: set[str] = set()
    sweep_s = 0.0
    for device in loop.devices:
        device.attempts.clear()
        device.reconnected_s = 0.0
    while not all(device.reconnected_s for device in loop.devices):
        loop.step()
        if time.monotonic() > sweep_s:
            gc.collect()  # closes the files of failed attempts
            sweep_s = time.monotonic() + 1.0
        for device in loop.devices:
            if not device.session.connected:
                lost.add(device.name)
            elif device.name in lost and not device.reconnected_s:
                device.reconnected_s = time.monotonic()
    attempts = sorted(at for device in loop.devices for at in device.attempts)
    return {"attempts": attempts, "back": sorted(device.reconnected_s for device in loop.devices)}


def _reply(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
