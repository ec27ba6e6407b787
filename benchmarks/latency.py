"""From a readable frame to the lamp, with the redemption on disk; memory and start of the scanner.

Each voucher is shown once, as a 1280x720 frame, to the daemon's own loop; the lamp records the
time. Between two scans bare SQLite commits the same rows on the same disk: decode and that commit
are the peer. Our share is a scan without its decode and without the COMMIT statements that it
waited for. Memory (of all processes, while frames arrive) and start are compared with a process
that only imports what a scanner imports.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import structlog
from hardware_sim.parts.doors import Doors
from hardware_sim.parts.mock_pins import wired_factory
from hardware_sim.run.in_process_scanner import fill_store
from hardware_sim.vision.camera import CameraScene, SimCamera
from hardware_sim.vision.render import render
from hardware_sim.vision.view_condition import CLEAN
from hardware_sim.world.sample_platform import SamplePlatform, provision_vouchers
from numpy.typing import NDArray

from benchmarks.measurement import Measurement
from benchmarks.store import bare_commits, disk
from edge.bootstrap.hardware_assembly import build_hardware
from edge.bootstrap.scanner import build_scanner
from edge.config import Profile, parse_profile
from edge.feedback.result_display import ResultDisplay
from edge.ports import Decoder, Frame, Hint, Signal, Symbol
from edge.scanner.daemon import Daemon
from edge.store.opening import open_store
from edge.values.instant import Instant

SCANS = 200
WARM_UP = 10
STARTS = 5
_PATIENCE_S = 30.0
_PICTURES = 600
_PAUSE_S = 1.0
_IMPORTS = """
import cbor2, click, cv2, gpiozero, numpy, sqlite3, structlog, tomllib, zxingcpp
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from multiprocessing.connection import Connection
from pydantic import BaseModel, Field, ValidationError, model_validator
from pyzbar import pyzbar
"""  # the libraries that a running scanner imports, as it imports them


def measure() -> Iterator[Measurement]:
    """Yield latencies (ms), then memory (MiB) and start (s) against bare imports."""
    with tempfile.TemporaryDirectory(dir=disk(), prefix="latency-bench-") as name:
        yield from _latencies(Path(name))
    yield from _footprint()


@dataclass(slots=True)
class _Stamps:
    """A lamp, a decoder and a source of frames that record times."""

    decoder: Decoder
    frame: Frame | None = None
    decoded_ms: float = 0.0
    hint: Hint | None = None
    shown_ns: int = 0
    committed_ms: float = 0.0
    signals: list[Signal] = field(default_factory=list)

    def next_frame(self, timeout_s: float) -> Frame | None:
        del timeout_s
        frame, self.frame = self.frame, None
        return frame

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        began_ns = time.monotonic_ns()
        symbols = self.decoder.decode(grey)
        self.decoded_ms = (time.monotonic_ns() - began_ns) / 1e6
        return symbols

    def show(self, signal: Signal) -> None:
        self.shown_ns = time.monotonic_ns()
        self.committed_ms = _TimedConnection.committed_ns / 1e6
        self.signals.append(signal)

    def close(self) -> None:
        pass


class _TimedConnection(sqlite3.Connection):
    """Sums the time of COMMIT statements: the disk's share of a scan."""

    committed_ns = 0

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        began_ns = time.monotonic_ns()
        cursor = super().execute(sql, *parameters)
        if sql == "COMMIT":
            _TimedConnection.committed_ns += time.monotonic_ns() - began_ns
        return cursor


def _latencies(folder: Path) -> Iterator[Measurement]:
    now_s = int(time.time())
    sample = provision_vouchers(folder / "sample", SCANS, now_s=now_s)
    fill_store(sample, now=Instant(unix_s=now_s))
    model = open_store(
        folder / "model", device_id="bench", now_s=now_s, random_bytes=os.urandom
    ).store
    assert model is not None
    commit = bare_commits(folder / "bare.db", model)
    rng = np.random.default_rng(1)
    totals: list[float] = []
    decodes: list[float] = []
    commits: list[float] = []
    ours: list[float] = []
    with (
        patch(
            "edge.store.database.store.sqlite3.connect",
            partial(sqlite3.connect, factory=_TimedConnection),
        ),
        _RecordedScanner(sample) as (
            daemon,
            stamps,
        ),
    ):
        for token in sample.codes.values():
            picture = render(token, CLEAN, rng=rng)
            began_ns = time.monotonic_ns()
            commit()
            commits.append((time.monotonic_ns() - began_ns) / 1e6)
            stamps.frame = Frame(grey=picture, number=len(totals), captured_ns=time.monotonic_ns())
            captured_ns = stamps.frame.captured_ns
            _TimedConnection.committed_ns = 0
            daemon.step()
            assert stamps.signals[-1] is Signal.GO, stamps.signals
            totals.append((stamps.shown_ns - captured_ns) / 1e6)
            decodes.append(stamps.decoded_ms)
            ours.append(totals[-1] - stamps.decoded_ms - stamps.committed_ms)
    model.close()
    yield from _summary(totals[WARM_UP:], decodes[WARM_UP:], commits[WARM_UP:])
    yield Measurement(
        "latency.ours_beyond_decode_and_commit_p50", statistics.median(ours[WARM_UP:]), "ms"
    )


def _summary(
    totals: list[float], decodes: list[float], commits: list[float]
) -> Iterator[Measurement]:
    centiles = statistics.quantiles(totals, n=100)
    peers = statistics.median(d + c for d, c in zip(decodes, commits, strict=True))
    peer = "decode + bare commit"
    yield Measurement("latency.frame_to_lamp_p50", centiles[49], "ms", peer, centiles[49] / peers)
    yield Measurement("latency.frame_to_lamp_p99", centiles[98], "ms", peer, centiles[98] / peers)
    yield Measurement("latency.decode_p50", statistics.median(decodes), "ms")
    yield Measurement("latency.bare_commit_p50", statistics.median(commits), "ms")


class _RecordedScanner:
    """The daemon of ``sample``, with recorders in place of lamp and frames; it never sleeps."""

    def __init__(self, sample: SamplePlatform) -> None:
        profile = parse_profile(sample.profile.read_text(encoding="utf-8"))
        assert isinstance(profile, Profile)
        scene = CameraScene(width_px=160, height_px=120)
        factory = wired_factory(profile.locker, Doors(profile.locker.compartments))
        parts = build_hardware(
            profile, pin_factory=factory, open_camera=lambda: SimCamera(scene, frame_rate_hz=5)
        )
        silent = structlog.wrap_logger(None, processors=[_drop])
        self._built = build_scanner(
            profile, sample.data, parts, log=silent, synchronised=lambda: True
        )

    def __enter__(self) -> tuple[Daemon, _Stamps]:
        daemon = self._built.__enter__()
        self._until_it_reads(daemon.decoder)
        stamps = _Stamps(daemon.decoder)
        daemon.frames, daemon.decoder, daemon.display = (
            stamps,
            stamps,
            ResultDisplay(stamps, hold_s=3600),
        )
        return daemon, stamps

    @staticmethod
    def _until_it_reads(decoder: Decoder) -> None:
        """Wait until the decoder's process has started: until then it reads nothing."""
        picture = render("WARM UP", CLEAN, rng=np.random.default_rng(0))
        deadline_s = time.monotonic() + _PATIENCE_S
        while not decoder.decode(picture):
            assert time.monotonic() < deadline_s, "the decoder does not read"
            time.sleep(0.01)

    def __exit__(self, *error: object) -> None:
        self._built.__exit__(None, None, None)


def _drop(_logger: object, _level: str, line: object) -> str:
    """Encode a log line, and print none."""
    json.dumps(line, default=str)
    raise structlog.DropEvent


def _footprint() -> Iterator[Measurement]:
    """Yield figures of the scanner with all its processes, and of bare imports, in turn."""
    with tempfile.TemporaryDirectory(dir=disk(), prefix="latency-bench-") as name:
        now_s = int(time.time())
        sample = provision_vouchers(Path(name), 10, now_s=now_s)
        fill_store(sample, now=Instant(unix_s=now_s))
        _write_endless_pictures(sample)
        pairs = [(_start_scanner(sample), _start_imports()) for _ in range(STARTS)]
    started_s, read_s, memory_mib = (
        statistics.median(pair[0][index] for pair in pairs) for index in range(3)
    )
    bare_s, bare_mib = (statistics.median(pair[1][index] for pair in pairs) for index in range(2))
    yield Measurement(
        "latency.resident_memory", memory_mib, "MiB", "bare imports", memory_mib / bare_mib
    )
    yield Measurement(
        "latency.start_to_scanning", started_s, "s", "bare imports", started_s / bare_s
    )
    yield Measurement("latency.start_to_first_read", read_s, "s", "bare imports", read_s / bare_s)


def _write_endless_pictures(sample: SamplePlatform) -> None:
    """Write a folder of pictures that show a voucher for the whole measurement."""
    pictures = sample.profile.parent / "pictures"
    pictures.mkdir()
    shown = pictures / "0.png"
    picture = render(next(iter(sample.codes.values())), CLEAN, rng=np.random.default_rng(1))
    cv2.imwrite(str(shown), picture)
    for number in range(1, _PICTURES):
        (pictures / f"{number}.png").hardlink_to(shown)
    text = sample.profile.read_text(encoding="utf-8")
    sample.profile.write_text(text.replace('path = "."', f'path = "{pictures}"'), encoding="utf-8")


def _start_scanner(sample: SamplePlatform) -> tuple[float, float, float]:
    """Return the seconds until the daemon has started and has judged a code, and its MiB."""
    command = [
        str(Path(sys.executable).with_name("edge-scanner")),
        "run",
        "--profile",
        str(sample.profile),
    ]
    began_s = time.monotonic()
    process = subprocess.Popen(
        [*command, "--data", str(sample.data)],
        stdout=subprocess.PIPE,
        env={**os.environ, "GPIOZERO_PIN_FACTORY": "mock"},
    )
    try:
        started_s = _seconds_until(process, b'"started"', began_s)
        read_s = _seconds_until(process, b'"scan"', began_s)
        time.sleep(_PAUSE_S)
        return started_s, read_s, _tree_mib(process.pid)
    finally:
        process.terminate()
        process.communicate()


def _start_imports() -> tuple[float, float]:
    """Return the seconds until a process has imported the libraries, and its MiB."""
    began_s = time.monotonic()
    code = f"{_IMPORTS}\nprint('ready', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    ready_s = _seconds_until(process, b"ready", began_s)
    memory_mib = _tree_mib(process.pid)
    process.communicate(b"\n")
    return ready_s, memory_mib


def _seconds_until(process: subprocess.Popen[bytes], text: bytes, began_s: float) -> float:
    assert process.stdout is not None
    while text not in (line := process.stdout.readline()):
        assert line, f"the process ended without {text!r}"
    return time.monotonic() - began_s


def _tree_mib(pid: int) -> float:
    """Return the resident memory of a process and its descendants, each shared page once.

    Forked processes share anonymous and shared memory within their tree alone, so the proportional
    shares add up. Libraries on disk are shared with other programs, too: they count once, as in the
    process that has the most of them.
    """
    tree = [pid]
    for member in tree:  # the list grows in the loop
        tree += [child for child, parent in _parents().items() if parent == member]
    own = sum(
        _kib(member, "smaps_rollup", name)
        for member in tree
        for name in ("Pss_Anon:", "Pss_Shmem:")
    )
    return (own + max(_kib(member, "status", "RssFile:") for member in tree)) / 1024


def _parents() -> dict[int, int]:
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            found[int(status.parent.name)] = int(
                status.read_text(encoding="utf-8").rpartition(")")[2].split()[1]
            )
    return found


def _kib(pid: int, file: str, name: str) -> int:
    lines = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
