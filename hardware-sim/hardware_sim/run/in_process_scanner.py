"""Scanner in this process, with simulated hardware and a store that has its orders."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from edge.bootstrap.hardware_assembly import build_hardware
from edge.bootstrap.scanner import build_scanner
from edge.config import Profile, parse_profile
from edge.domain.order_row import row_of
from edge.scanner.daemon import Daemon
from edge.store import documents
from edge.store.ledger_restore import apply_restore_page
from edge.store.opening import open_store
from edge.store.order_pages import apply_snapshot_page
from edge.values.instant import Instant
from hardware_sim.parts.doors import Doors
from hardware_sim.parts.mock_pins import wired_factory
from hardware_sim.vision.camera import CameraScene, SimCamera
from hardware_sim.vision.view_condition import PRESETS
from hardware_sim.world.sample_platform import DEVICE, SITE, SamplePlatform, provision_sample
from sync.hub.orders.order_lines import OrderLine

HOLD_OFF_S = 0.2  # short, for quick scenarios
CEILING_S = 90.0  # only a guard against hanging: tests wait for a state


def fill_store(sample: SamplePlatform, *, now: Instant) -> None:
    """Write the sample's lists and orders to the device's store, as edge-sync does."""
    opened = open_store(
        sample.data, device_id=DEVICE, now_s=now.unix_s, random_bytes=secrets.token_bytes
    )
    assert opened.store is not None, opened.detail
    for name, file in sample.documents.items():
        documents.put(
            opened.store,
            name=name,
            version=1,
            issued_at_s=now.unix_s,
            raw=file.read_bytes(),
            now=now,
        )
    lines = sample.orders.read_text(encoding="utf-8").splitlines()
    sold = [row_of(OrderLine.model_validate(json.loads(line)).entitlement()) for line in lines]
    apply_snapshot_page(
        opened.store,
        sold,
        site=SITE,
        incarnation=bytes(16),
        revision=1,
        page=0,
        last=True,
        now=now,
    )
    apply_restore_page(opened.store, (), after="", following=None)
    opened.store.close()


@dataclass(frozen=True, slots=True)
class InProcessScanner:
    """A scanner that runs in another thread, and the scene and doors before it."""

    sample: SamplePlatform
    scene: CameraScene
    doors: Doors
    daemon: Daemon
    log: list[dict[str, Any]]  # every line, in order
    pins: Any  # the mock pins, by their BCM number: ``pins.pin(24)``

    def scan(
        self, code: str, *, timeout_s: float = CEILING_S, condition: str = "clean"
    ) -> dict[str, Any]:
        """Show the code of this name until it is scanned; return the log line of the scan.

        Raises TimeoutError when it is not scanned in time.
        """
        before = len(self.scans)
        self.scene.show(self.sample.codes[code], PRESETS[condition])
        try:
            self.wait(lambda: len(self.scans) > before, timeout_s)
        finally:
            self.scene.clear()
        time.sleep(2 * HOLD_OFF_S)
        return self.scans[before]

    @property
    def scans(self) -> list[dict[str, Any]]:
        """The log lines of the scans."""
        return [line for line in self.log if line["event"] == "scan"]

    def wait(self, condition: Callable[[], object], timeout_s: float = CEILING_S) -> None:
        """Wait until ``condition()`` is true. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the condition did not hold within {timeout_s} s")
            time.sleep(0.01)


@contextmanager
def open_scanner(sample: SamplePlatform) -> Iterator[InProcessScanner]:
    """Run a scanner over ``sample.data`` until the block ends."""
    text = sample.profile.read_text(encoding="utf-8").replace(
        "hold_off_s = 0.6", f"hold_off_s = {HOLD_OFF_S}"
    )
    profile = parse_profile(text)
    assert isinstance(profile, Profile), profile
    scene, doors = CameraScene(), Doors(profile.locker.compartments, person_closes_after_s=0.3)
    pins = wired_factory(profile.locker, doors)
    parts = build_hardware(
        profile,
        pin_factory=pins,
        open_camera=partial(SimCamera, scene, frame_rate_hz=profile.camera.frame_rate_hz),
    )
    log: list[dict[str, Any]] = []
    stop = threading.Event()
    with build_scanner(
        profile, sample.data, parts, log=_recorder(log), synchronised=lambda: True
    ) as daemon:
        thread = threading.Thread(target=daemon.run, args=(stop,), name="scanner")
        thread.start()
        try:
            yield InProcessScanner(sample, scene, doors, daemon, log, pins)
        finally:
            stop.set()
            thread.join()


def _recorder(log: list[dict[str, Any]]) -> FilteringBoundLogger:
    """Return a logger that appends its lines to ``log``."""

    def append(_logger: Any, level: str, line: Any) -> Any:
        log.append({**line, "level": level})
        raise structlog.DropEvent

    recorder: FilteringBoundLogger = structlog.wrap_logger(None, processors=[append])
    return recorder


def provision_scanner(folder: Path, *, now_s: int) -> SamplePlatform:
    """Make a sample whose device has its lists and orders already."""
    sample = provision_sample(folder, now_s=now_s)
    fill_store(sample, now=Instant(unix_s=now_s))
    return sample
