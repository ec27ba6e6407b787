"""Collection of a device's facts. It only reads, and opens neither camera nor pins.

The scanner may be using those. The collection always ends: a fact that cannot be read is
``Unknown``, with the reason.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeVar

from edge.config import CameraSection, ConfigError, MqttSection, Profile, parse_profile
from edge.doctor.broker_probe import read_certificate, try_broker
from edge.doctor.facts import (
    CameraFact,
    ClockFact,
    DaemonFact,
    DeviceFacts,
    KeysFact,
    NodeFact,
    PinsFact,
    StoreFact,
    Unknown,
)
from edge.doctor.machine_probe import read_board, read_disk
from edge.settings.active_profile import ActiveProfile, load_active_profile
from edge.store import documents
from edge.store.database.integrity import find_damage
from edge.store.database.store import FILE, StoreUnavailableError
from edge.store.device_record import read_device_record
from edge.store.opening import open_for_reading
from edge.store.outbox import backlog
from edge.system.time_zone import zone_problem
from edge.system.wall_clock import synchronised_by_systemd
from edge.trust.anchors import Anchors, RootsFileRefusal, load_roots
from edge.values.instant import ClockTrust, Instant

Fact = TypeVar("Fact")

# Image sensors of the Camera Modules and similar boards, by the names of their kernel drivers.
_SENSORS: Final = (
    "arducam-pivariety",
    "imx219",
    "imx290",
    "imx296",
    "imx327",
    "imx378",
    "imx415",
    "imx462",
    "imx477",
    "imx500",
    "imx519",
    "imx708",
    "ov5647",
    "ov64a40",
    "ov7251",
    "ov9281",
    "ov9282",
)
_CHECKED: Final = ("ledger", "outbox", "device")  # fast to check at any size of the order cache


def collect(
    profile_file: Path, data: Path, *, root: Path = Path("/"), timeout_s: float = 5.0
) -> DeviceFacts:
    """Return the facts of the device of ``profile_file`` and ``data``.

    ``root`` is the folder of /dev, /proc and /sys; ``timeout_s`` is for the broker.
    """
    profile = read_profile_file(profile_file, data)
    running = _guarded(lambda: load_active_profile(profile_file, data))
    clock = _guarded(lambda: read_clock(root))
    now_s = clock.now_s if isinstance(clock, ClockFact) else 0
    facts = DeviceFacts(
        profile=profile,
        damage=running.damage if isinstance(running, ActiveProfile) else "",
        settings=running.problem if isinstance(running, ActiveProfile) else "",
        daemon=_guarded(lambda: read_daemon(data / "health.json", time.time())),
        store=_guarded(lambda: read_store(data)),
        clock=clock,
        disk=_guarded(lambda: read_disk(data)),
        board=_guarded(lambda: read_board(root)),
    )
    if not isinstance(profile, Profile):
        return facts
    return replace(
        facts,
        camera=_guarded(lambda: read_camera(profile.camera, root)),
        pins=_guarded(lambda: read_pins(root)) if _uses_pins(profile) else None,
        nodes=_guarded(lambda: read_nodes(profile)),
        zone_problem=zone_problem(profile.policy.timezone),
        keys=_guarded(lambda: read_keys(Path(profile.trust.roots_file), data, now_s)),
        certificate=_of(profile.mqtt, read_certificate),
        broker=_of(profile.mqtt, lambda mqtt: try_broker(mqtt, timeout_s)),
    )


def _guarded(read: Callable[[], Fact]) -> Fact | Unknown:
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - any failure of one part must not hide the others
        return Unknown(
            f"{type(error).__name__}: {error}", denied=isinstance(error, PermissionError)
        )


def _of(mqtt: MqttSection | None, read: Callable[[MqttSection], Fact]) -> Fact | Unknown | None:
    return None if mqtt is None else _guarded(lambda: read(mqtt))


def _uses_pins(profile: Profile) -> bool:
    locks = profile.locker.driver == "gpio" and profile.locker.compartments
    return bool(profile.indicators.pins or locks or profile.trigger or profile.presence)


def read_profile_file(file: Path, data: Path) -> Profile | list[ConfigError]:
    """Return the profile that the device runs on, or every error in it.

    The profile includes its identity and the pushed settings.
    """
    try:
        outcome = parse_profile(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [ConfigError("", "does not exist", str(file))]
    except OSError as error:
        return [ConfigError("", f"cannot be read: {error.strerror}", str(file))]
    except UnicodeDecodeError:
        return [ConfigError("", "is not UTF-8 text", str(file))]
    if isinstance(outcome, list):
        return outcome
    running = load_active_profile(file, data)
    return running.profile if isinstance(running, ActiveProfile) else outcome


def read_daemon(health_file: Path, now_s: float) -> DaemonFact | None:
    """Return the scanner's last report; None when it never ran here."""
    try:
        text = health_file.read_text(encoding="utf-8")
        age_s = now_s - health_file.stat().st_mtime
    except FileNotFoundError:
        return None
    report = json.loads(text)
    problems = report.get("problems") or {}
    return DaemonFact(
        age_s=age_s,
        state=str(report.get("state")),
        problems={str(k): str(v) for k, v in problems.items()},
    )


def read_camera(section: CameraSection, root: Path) -> CameraFact:
    """Return whether the source of frames exists, from sysfs and the file system."""
    match section.source:
        case "picamera2":
            return _read_csi(section, root)
        case "v4l2":
            node = root / "dev" / f"video{section.index}"
            title = root / "sys/class/video4linux" / node.name / "name"
            name = f"/dev/{node.name}" + (f" {title.read_text().strip()}" if title.exists() else "")
            return CameraFact(
                present=node.exists(), readable=os.access(node, os.R_OK | os.W_OK), name=name
            )
        case "video" | "images":
            path = Path(section.path or "")
            return CameraFact(
                present=path.exists(), readable=os.access(path, os.R_OK), name=str(path)
            )


def _read_csi(section: CameraSection, root: Path) -> CameraFact:
    names = (
        file.read_text().strip().removesuffix("_wide")
        for file in sorted(root.glob("sys/bus/i2c/devices/*/name"))
    )
    sensors = [name for name in names if name.startswith(_SENSORS)]
    found = len(sensors) > section.index
    nodes = sorted(root.glob("dev/media*"))
    return CameraFact(
        present=found,
        readable=all(os.access(node, os.R_OK | os.W_OK) for node in nodes),
        name=sensors[section.index] if found else f"camera {section.index} (of {len(sensors)})",
        library=find_spec("picamera2") is not None,
    )


def read_pins(root: Path) -> PinsFact:
    """Return the machine's GPIO chips.

    ``/dev/gpiomem`` is an alias that newer boards keep for old programs.
    """
    chips = sorted(root.glob("dev/gpiochip*"))
    return PinsFact(
        chips=tuple(chip.name for chip in chips),
        usable=any(os.access(chip, os.R_OK | os.W_OK) for chip in chips),
        library=find_spec("lgpio") is not None,
        factory=os.environ.get("GPIOZERO_PIN_FACTORY"),
    )


def read_nodes(profile: Profile) -> tuple[NodeFact, ...]:
    """Return the nodes of lock board and scan engines that the profile names."""
    board, engines = profile.locker.board, profile.engines
    named = [
        ("lock board", board.port if board else None, "dialout", os.R_OK | os.W_OK),
        (
            "serial engine",
            engines.serial.port if engines.serial else None,
            "dialout",
            os.R_OK | os.W_OK,
        ),
        ("hid engine", engines.hid.device if engines.hid else None, "input", os.R_OK),
    ]
    return tuple(
        NodeFact(
            part=part,
            node=node,
            present=Path(node).exists(),
            usable=os.access(node, rights),
            group=group,
        )
        for part, node, group, rights in named
        if node is not None
    )


def read_store(folder: Path) -> StoreFact | Unknown:
    """Return the store's integrity and backlog. Opens it for reading only."""
    if not folder.exists():
        return StoreFact(exists=False)
    os.listdir(folder)  # noqa: PTH208 - raises PermissionError for a folder that only looks empty
    aside = tuple(
        sorted(
            path.name
            for path in folder.glob(f"{FILE}.[0-9]*")
            if not path.name.endswith(("-wal", "-shm"))
        )
    )
    if not (folder / FILE).exists():
        return StoreFact(exists=False, quarantined=aside)
    try:
        with closing(open_for_reading(folder)) as store:
            damage = find_damage(store, _CHECKED)
            device = read_device_record(store)
            waiting = backlog(store)
    except StoreUnavailableError as error:
        return (
            StoreFact(exists=True, damage=str(error), quarantined=aside)
            if error.corrupt
            else Unknown(str(error), denied="not readable" in str(error))
        )
    except sqlite3.Error as error:
        return StoreFact(exists=True, damage=str(error), quarantined=aside)
    return StoreFact(
        exists=True,
        device_id=device.device_id if device else None,
        time_floor_s=device.time_floor_s if device else 0,
        blocked=device.blocked if device else None,
        damage=damage,
        quarantined=aside,
        pending=waiting.pending,
        rejected=waiting.rejected,
        oldest_pending_s=waiting.oldest_s,
    )


def read_keys(roots_file: Path, data: Path, now_s: int) -> KeysFact | Unknown:
    """Return the roots and the store's trust list, verified as the scanner verifies them."""
    roots = load_roots(roots_file)
    if isinstance(roots, RootsFileRefusal):
        return KeysFact(roots=0, problems=(str(roots),))
    try:
        store = open_for_reading(data)
    except StoreUnavailableError as error:
        if (data / FILE).exists():  # the list in it cannot be checked
            return Unknown(str(error), denied="not readable" in str(error))
        return KeysFact(roots=len(roots.keys), problems=(str(error),))
    try:
        anchors = Anchors(store, roots)
        problems = anchors.refresh(Instant(unix_s=now_s, trust=ClockTrust.FLOOR_ONLY))
        stored = documents.find_document(store, documents.TRUST_LIST)
    finally:
        store.close()
    return KeysFact(
        roots=len(roots.keys),
        keys=len(anchors.trust.keys),
        version=stored.version if stored else None,
        issued_at_s=anchors.trust.issued_at_s,
        expires_at_s=anchors.trust.expires_at_s,
        problems=tuple(problems.values()),
    )


def read_clock(root: Path) -> ClockFact:
    """Return the wall clock, and whether the scanner will trust it."""
    return ClockFact(
        now_s=int(time.time()),
        synchronised=synchronised_by_systemd(),
        has_rtc=any(root.glob("sys/class/rtc/rtc*")),
    )
