"""An honest device beside ten that flood the hub: how long until it is acknowledged.

Each of the ten keeps four batches of 1,000 redemptions of one code on their way.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks.measurement import Measurement
from benchmarks.platform import Platform, scratch
from benchmarks.simulated import Device
from sync.mqtt.session import MqttSession
from tests.support.postgres import BIN as POSTGRES
from tests.support.postgres import running_postgres

FLOODERS = 10
CODE = "00" * 15 + "07"
IN_FLIGHT = int(os.environ.get("EDGE_SCANNER_FLOOD_IN_FLIGHT", "4"))
EVENTS = 100  # of the honest device, in each of the two measurements
PAUSE_S = 0.1  # of the honest device
BEGIN_S = 5.0  # of the flood, before the second measurement
HONEST = "honest"


def measure() -> Iterator[Measurement]:
    """Yield the latencies over both stores."""
    yield from _measure("file", None)
    if (POSTGRES / "postgres").exists():
        with running_postgres() as server:
            yield from _measure("postgres", server.database())


def _measure(store: str, database: str | None) -> Iterator[Measurement]:
    names = [f"flooder-{number}" for number in range(FLOODERS)]
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(dir=scratch(), prefix="flood-bench-"))
        )
        devices = dict.fromkeys([HONEST, *names], "shop-1")
        platform = Platform(folder, devices, database=database)
        stack.callback(platform.close)
        platform.start_broker()
        platform.start_hub()
        platform.import_orders(
            {"cti": CODE, "order_id": "A-1", "kind": "write_off", "home_site": "shop-1"}
        )
        honest = _honest(platform)
        stack.callback(honest.session.close)
        quiet = _latencies_ms(honest)
        flood = _Flood(platform, names)
        stack.callback(flood.end)
        _step(honest, BEGIN_S)
        flooded = _latencies_ms(honest)
        batches = flood.end()
    name = f"fleet.flood_{store}"
    yield Measurement(f"{name}_quiet", statistics.median(quiet), "ms")
    yield Measurement(f"{name}_quiet_95_percent", _high_of(quiet), "ms")
    median, most = statistics.median(flooded), _high_of(flooded)
    yield Measurement(f"{name}_flooded", median, "ms", "quiet", median / statistics.median(quiet))
    yield Measurement(f"{name}_flooded_95_percent", most, "ms", "quiet", most / _high_of(quiet))
    yield Measurement(f"{name}_batches", float(batches), "acknowledged")


class _Flood:
    """The ten devices, in a process of their own."""

    def __init__(self, platform: Platform, names: list[str]) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.flooding"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        setup = {
            "tenant": platform.site.tenant,
            "in_flight": IN_FLIGHT,
            "endpoints": [asdict(platform.endpoint(name)) for name in names],
        }
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(setup) + "\n")
        self._child.stdin.flush()
        self._child.stdout.readline()

    def end(self) -> int:
        """End the flood, and return how many of its batches were acknowledged."""
        if self._child.returncode is not None:
            return 0
        out, _ = self._child.communicate("\n", timeout=60)
        return int(json.loads(out)["acknowledged"])


def _honest(platform: Platform) -> Device:
    tenant = platform.site.tenant
    session = MqttSession(
        platform.endpoint(HONEST), [f"v1/{tenant}/{HONEST}/dn/#"], uniform=random.uniform
    )
    device = Device(HONEST, tenant, session, f"{random.getrandbits(128):032x}")
    while not session.connected:
        device.step(time.monotonic())
    return device


def _latencies_ms(device: Device) -> list[float]:
    """Return how long each of some events took until it was acknowledged."""
    found = []
    for _ in range(EVENTS):
        _step(device, PAUSE_S)
        began_s = time.monotonic()
        device.send_events(1, began_s)
        while device.left:
            device.step(time.monotonic(), wait_s=0.05)
        found.append((time.monotonic() - began_s) * 1000)
    return found


def _step(device: Device, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        device.step(time.monotonic(), wait_s=left_s)


def _high_of(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
