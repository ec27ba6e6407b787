"""A simulated fleet against one hub and more, and its coming back after the broker was restarted.

Sizes by ``EDGE_SCANNER_FLEET_DEVICES`` (2000). Devices, broker, database and hubs share this machine's cores: what
grows with hub processes here is what they leave each other.
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

from benchmarks.field import Field, scratch
from benchmarks.measurement import Measurement
from benchmarks.simulated import MOST_DEVICES
from tests.support.postgres import BIN as POSTGRES
from tests.support.postgres import running_postgres

DEVICES = int(os.environ.get("EDGE_SCANNER_FLEET_DEVICES", "2000"))
EVENTS = 3  # a device and round
HUBS = (1, 2, 4)
ROUNDS = 2
SLICE_S = 10  # by which the storm is shown
WINDOW_S = 0.1  # in which attempts are counted as coming at once


class Part:
    """A process with some of the devices (``benchmarks.simulated``)."""

    def __init__(self, field: Field, names: list[str]) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.simulated"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        endpoints = [asdict(field.endpoint(name)) for name in names]
        self.say(json.dumps({"tenant": field.site.tenant, "endpoints": endpoints}))

    def say(self, line: str) -> None:
        """One command."""
        assert self._child.stdin is not None
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def heard(self) -> dict[str, Any]:
        """Its answer."""
        assert self._child.stdout is not None
        found: dict[str, Any] = json.loads(self._child.stdout.readline())
        return found

    def end(self) -> None:
        """End it."""
        self._child.kill()
        self._child.wait()


class Crowd:
    """All of the parts."""

    def __init__(self, field: Field, names: list[str]) -> None:
        self._parts = [
            Part(field, names[at : at + MOST_DEVICES]) for at in range(0, len(names), MOST_DEVICES)
        ]

    def do(self, command: str) -> list[dict[str, Any]]:
        """Say a command to all, and wait for all."""
        self.say(command)
        return self.heard()

    def say(self, command: str) -> None:
        """Say it."""
        for part in self._parts:
            part.say(command)

    def heard(self) -> list[dict[str, Any]]:
        """All answers."""
        return [part.heard() for part in self._parts]

    def took_s(self, command: str) -> float:
        """From the first that began to the last that was done."""
        found = self.do(command)
        return float(max(each["ended"] for each in found) - min(each["began"] for each in found))

    def end(self) -> None:
        """End all."""
        for part in self._parts:
            part.end()


def measure() -> Iterator[Measurement]:
    """Connecting, events settled a second by hub processes, and the storm."""
    names = [f"sim-{number}" for number in range(DEVICES)]
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(dir=scratch(), prefix="fleet-bench-"))
        )
        database = None
        if (POSTGRES / "postgres").exists():
            database = stack.enter_context(running_postgres()).database()
        field = Field(folder, dict.fromkeys(names, "shop-1"), hubs=max(HUBS), database=database)
        stack.callback(field.close)
        field.start_broker()
        crowd = Crowd(field, names)
        stack.callback(crowd.end)
        yield Measurement("fleet.devices", float(DEVICES), "devices")
        yield Measurement("fleet.connect_all", crowd.took_s("connect"), "s")
        yield from _growth(field, crowd, "PostgreSQL" if database else "one SQLite file")
        field.start_hub()
        yield from _storm(field, crowd)


def _growth(field: Field, crowd: Crowd, store: str) -> Iterator[Measurement]:
    rates: dict[int, list[float]] = {count: [] for count in HUBS}
    for turn in range(ROUNDS):
        for count in HUBS if turn % 2 == 0 else HUBS[::-1]:
            for number in range(count):
                field.start_hub(number)
            rates[count].append(DEVICES * EVENTS / crowd.took_s(f"tell {EVENTS}"))
            for hub in field.hubs:
                hub.stop()
    one = statistics.median(rates[1])
    for count in HUBS:
        value = statistics.median(rates[count])
        peer = f"one hub, {store}" if count > 1 else None
        yield Measurement(
            f"fleet.events_settled_{count}_hubs", value, "1/s", peer, value / one if peer else None
        )


def _storm(field: Field, crowd: Crowd) -> Iterator[Measurement]:
    crowd.say("watch")
    time.sleep(0.5)
    field.broker.stop(signal.SIGKILL)
    field.start_broker()
    up_s = time.monotonic()
    found = crowd.heard()
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
    """How many began within a moment of one of them."""
    last = first
    while last < len(attempts) and attempts[last] - attempts[first] < WINDOW_S:
        last += 1
    return last - first
