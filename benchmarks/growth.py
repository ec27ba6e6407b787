"""What is asked of a device's store, by how much it holds, and what a lying hub costs a scan.

``GROWTH_ROWS`` is the largest store, in redemptions: a million by default, ten million on request
(15 GB on the disk, and half an hour).
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

from benchmarks.asked import FRESH, NOW, Asked
from benchmarks.grown_store import grow
from benchmarks.measurement import Measurement
from benchmarks.store import disk
from edge.store import outbox
from edge.store.database.store import Store
from edge.store.opening import open_store
from sync.agent.uplink import Uplink
from sync.wire.messages import MOST_CONFLICTS, Ack, Conflict, RefusedItem

LEAST: Final = 1_000
MOST: Final = int(os.environ.get("GROWTH_ROWS", "1000000"))
ROUNDS: Final = 200
WARM_UP: Final = 20
SCANS: Final = 300
PAUSE_S: Final = 0.01  # between two scans


def measure() -> Iterator[Measurement]:
    """Yield medians (us) of each question at 10 to the power of 3, 4 and so on up to ``MOST``."""
    sizes = [10**power for power in range(3, 20) if LEAST < 10**power <= MOST]
    with tempfile.TemporaryDirectory(dir=disk(), prefix="growth-bench-") as name:
        small = Asked(_without_disk(_grown(Path(name) / "small", LEAST)), LEAST)
        for rows in sizes:
            store = _without_disk(_grown(Path(name) / "large", rows))
            yield from _compare(small, Asked(store, rows), rows)
            store.close()
            for file in (Path(name) / "large").iterdir():
                file.unlink()
        yield from _waits(Path(name) / "flooded")


def _compare(small: Asked, large: Asked, rows: int) -> Iterator[Measurement]:
    """Ask both stores in turn, so that the machine affects both alike.

    Nothing waits for the disk, whose time does not grow and would hide what does.
    """
    for name, of_small in small.all().items():
        of_large = large.all()[name]
        times: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(ROUNDS):
            for is_large in (turn % 2 == 0, turn % 2 == 1):
                ask = of_large if is_large else of_small
                began = time.perf_counter()
                ask()
                times[is_large].append((time.perf_counter() - began) * 1e6)
        few, many = (statistics.median(times[each][WARM_UP:]) for each in (False, True))
        yield Measurement(
            f"growth.{name}_at_{rows}", many, "us", f"the same at {LEAST} redemptions", many / few
        )


def _grown(folder: Path, rows: int) -> Store:
    opened = open_store(folder, device_id="bench", now_s=NOW.unix_s, random_bytes=os.urandom)
    assert opened.store is not None, opened.detail
    grow(opened.store, rows, fresh=FRESH)
    return opened.store


def _without_disk(store: Store) -> Store:
    store.connection().execute("PRAGMA synchronous = OFF")
    return store


def _waits(folder: Path) -> Iterator[Measurement]:
    """Yield how long a scan's transaction waits (ms) while a hub floods the device with lies."""
    store = _grown(folder, 100 * LEAST)
    quiet = _transactions_ms(store)
    begun, stop = multiprocessing.Event(), multiprocessing.Event()
    liar = multiprocessing.Process(target=_flood, args=(folder, begun, stop))
    liar.start()
    begun.wait()
    flooded = _transactions_ms(store)
    stop.set()
    liar.join()
    store.close()
    for name, place in (("median", 0.5), ("p99", 0.99), ("most", 1.0)):
        few, many = (_quantile(times, place) for times in (quiet, flooded))
        yield Measurement(
            f"growth.wait_of_a_scan_{name}",
            many,
            "ms",
            "the same without acknowledgements",
            many / few,
        )


def _transactions_ms(store: Store) -> list[float]:
    """Return how long each of ``SCANS`` transactions waited for its lock."""
    waited = []
    for _ in range(SCANS):
        began = time.perf_counter()
        with store.transaction():
            waited.append((time.perf_counter() - began) * 1000)
        time.sleep(PAUSE_S)
    return waited


def _quantile(times: list[float], place: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * place))]


def _flood(folder: Path, begun: Event, stop: Event) -> None:
    """Apply acknowledgements that each refuse events and report conflicts, as edge-sync does."""
    opened = open_store(folder, device_id="bench", now_s=NOW.unix_s, random_bytes=os.urandom)
    store = opened.store
    assert store is not None, opened.detail
    store.give_way()
    uplink = Uplink(store, "bench", window=256, random_bytes=os.urandom)
    epoch, newest = outbox.current_epoch(store)
    for turn in count():
        first = 1 + turn * 1000 % newest
        begun.set()
        ack = Ack(
            dev="bench",
            epoch=epoch,
            committed_through=0 if turn % 2 else newest - 10,
            acknowledged_through=1,
            first=1,
            last=newest - 10,
            rejected=[RefusedItem(seq=first + step, reason="no") for step in range(1000)],
            conflicts=[_conflict(epoch, turn, step) for step in range(MOST_CONFLICTS)],
        )
        uplink.receive_ack(ack, NOW, time.monotonic())
        if stop.is_set():
            break
    store.close()


def _conflict(epoch: str, turn: int, step: int) -> Conflict:
    number = 1 + turn * MOST_CONFLICTS + step
    return Conflict(
        number=number, cti="00" * 16, epoch=epoch, seq=1, other_dev="kiosk-2", other_ts=1
    )
