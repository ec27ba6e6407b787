"""A simulated fleet with one hub and several, its reconnection after a broker restart, and a flood.

``EDGE_SCANNER_FLEET_DEVICES`` (2000) is its size. Devices, broker, database and hubs share the
cores of this machine, which limits the gain of more hub processes.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import flood
from benchmarks.measurement import Measurement
from benchmarks.platform import Platform, scratch
from benchmarks.simulated import MOST_DEVICES
from tests.support.postgres import BIN as POSTGRES
from tests.support.postgres import running_postgres

DEVICES = int(os.environ.get("EDGE_SCANNER_FLEET_DEVICES", "2000"))
EVENTS = 3  # for each device and round
HUBS = (1, 2, 4)
ROUNDS = 2
SLICE_S = 10  # of the figures of the storm
WINDOW_S = 0.1  # attempts within it count as simultaneous


class Part:
    """A process with some of the devices (``benchmarks.simulated``)."""

    def __init__(self, platform: Platform, names: list[str]) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.simulated"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        endpoints = [asdict(platform.endpoint(name)) for name in names]
        self.send(json.dumps({"tenant": platform.site.tenant, "endpoints": endpoints}))

    def send(self, line: str) -> None:
        """Send one command."""
        assert self._child.stdin is not None
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def reply(self) -> dict[str, Any]:
        """Wait for the reply, and return it."""
        assert self._child.stdout is not None
        found: dict[str, Any] = json.loads(self._child.stdout.readline())
        return found

    def end(self) -> None:
        """End the process."""
        self._child.kill()
        self._child.wait()


class SimulatedFleet:
    """All parts of the fleet."""

    def __init__(self, platform: Platform, names: list[str]) -> None:
        self._parts = [
            Part(platform, names[at : at + MOST_DEVICES])
            for at in range(0, len(names), MOST_DEVICES)
        ]

    def request(self, command: str) -> list[dict[str, Any]]:
        """Send a command to every part, and return the replies."""
        self.send(command)
        return self.replies()

    def send(self, command: str) -> None:
        """Send a command to every part."""
        for part in self._parts:
            part.send(command)

    def replies(self) -> list[dict[str, Any]]:
        """Wait for the reply of every part, and return them."""
        return [part.reply() for part in self._parts]

    def duration_s(self, command: str) -> float:
        """Return the seconds from the first part's begin to the last part's end."""
        found = self.request(command)
        return float(max(each["ended"] for each in found) - min(each["began"] for each in found))

    def end(self) -> None:
        """End every part."""
        for part in self._parts:
            part.end()


def measure() -> Iterator[Measurement]:
    """Yield the time to connect, the events a second by number of hubs, and the storm."""
    names = [f"sim-{number}" for number in range(DEVICES)]
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(dir=scratch(), prefix="fleet-bench-"))
        )
        database = None
        if (POSTGRES / "postgres").exists():
            database = stack.enter_context(running_postgres()).database()
        platform = Platform(
            folder, dict.fromkeys(names, "shop-1"), hubs=max(HUBS), database=database
        )
        stack.callback(platform.close)
        platform.start_broker()
        fleet = SimulatedFleet(platform, names)
        stack.callback(fleet.end)
        yield Measurement("fleet.devices", float(DEVICES), "devices")
        yield Measurement("fleet.connect_all", fleet.duration_s("connect"), "s")
        yield from _growth(platform, fleet, "PostgreSQL" if database else "one SQLite file")
        platform.start_hub()
        yield from _storm(platform, fleet)
    yield from flood.measure()


def _growth(platform: Platform, fleet: SimulatedFleet, store: str) -> Iterator[Measurement]:
    rates: dict[int, list[float]] = {count: [] for count in HUBS}
    for turn in range(ROUNDS):
        for count in HUBS if turn % 2 == 0 else HUBS[::-1]:
            for number in range(count):
                platform.start_hub(number)
            rates[count].append(DEVICES * EVENTS / fleet.duration_s(f"send {EVENTS}"))
            for hub in platform.hubs:
                hub.stop()
    one = statistics.median(rates[1])
    for count in HUBS:
        value = statistics.median(rates[count])
        peer = f"one hub, {store}" if count > 1 else None
        yield Measurement(
            f"fleet.events_settled_{count}_hubs", value, "1/s", peer, value / one if peer else None
        )


def _storm(platform: Platform, fleet: SimulatedFleet) -> Iterator[Measurement]:
    fleet.send("watch")
    time.sleep(0.5)
    platform.broker.stop(signal.SIGKILL)
    platform.start_broker()
    up_s = time.monotonic()
    found = fleet.replies()
    back = sorted(at - up_s for each in found for at in each["back"])
    attempts = sorted(at for each in found for at in each["attempts"])
    since = [at - up_s for at in attempts]
    peak = max(_within(attempts, number) for number in range(len(attempts)))
    yield Measurement("fleet.storm_back_half", back[len(back) // 2], "s")
    yield Measurement("fleet.storm_back_95_percent", back[len(back) * 95 // 100], "s")
    yield Measurement("fleet.storm_back_all", back[-1], "s")
    yield Measurement(
        "fleet.storm_attempts_at_once",
        float(peak),
        f"/{WINDOW_S:g} s",
        "all at once, as without jitter",
        peak / DEVICES,
    )
    yield Measurement("fleet.storm_attempts", len(attempts) / DEVICES, "a device")
    for end in range(SLICE_S, int(back[-1]) + SLICE_S + 1, SLICE_S):
        tried, returned = (sum(end - SLICE_S <= at < end for at in each) for each in (since, back))
        yield Measurement(f"fleet.storm_tried_by_{end}_s", float(tried), "attempts")
        yield Measurement(f"fleet.storm_back_by_{end}_s", float(returned), "devices")


def _within(attempts: list[float], first: int) -> int:
    """Return how many attempts began within ``WINDOW_S`` of one of them."""
    last = first
    while last < len(attempts) and attempts[last] - attempts[first] < WINDOW_S:
        last += 1
    return last - first
