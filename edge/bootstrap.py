"""The one place where a device profile becomes real devices."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, assert_never

from structlog.typing import FilteringBoundLogger

from edge import ports
from edge.anchors import Anchors, load_roots
from edge.capture.worker import CaptureWorker, Patience
from edge.clock import WallClock, synchronised_by_systemd
from edge.config import Camera, Profile
from edge.daemon import Daemon
from edge.decode.holdoff import HoldOff
from edge.decode.live import LiveDecoder
from edge.devices.absent import NoIndicator, NoLocker
from edge.devices.pins import PinsUnavailableError, open_pin_factory
from edge.gate import Gate, audiences_of, verify_policy_of
from edge.health import Health
from edge.notify import notify
from edge.panel import Panel
from edge.pickup import DoorTimes, Pickups
from edge.ports import DoorSensor, Indicator, Lock, LockError
from edge.redeem import Redeemer
from edge.standing import place_of
from edge.store.floor import time_floor_s
from edge.store.opening import Opened, StoreState, open_store
from edge.store.store import Store
from edge.supervise import Supervisor
from edge.token.roots import Roots

RELEASED_S: Final = 1_735_689_600  # 2025-01-01: no clock is believed to be earlier (TOKEN, "Time")
_STUCK_AFTER_S: Final = 10.0  # below the unit's WatchdogSec

OpenCamera = Callable[[], ports.Camera]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The hardware of a device. ``problems`` names what the profile asks for and the device lacks."""

    capture: CaptureWorker
    indicator: Indicator
    lock: Lock
    doors: DoorSensor
    problems: dict[str, str] = field(default_factory=dict)

    def close(self) -> None:
        """Release everything, locks first."""
        self.lock.close()
        self.doors.close()
        self.capture.close()
        self.indicator.close()


def build_parts(profile: Profile, *, pin_factory: Any = None, open_camera: OpenCamera | None = None) -> Parts:
    """Build what ``profile`` asks for. Never raises for missing hardware: it becomes a named problem.

    ``pin_factory`` and ``open_camera`` replace the real ones; a simulator passes its own.
    """
    problems: dict[str, str] = {}
    indicator, lock, doors = _gpio(profile, pin_factory, problems)
    capture = CaptureWorker(
        open_camera or camera_opener(profile.camera),
        patience=Patience(stall_s=profile.camera.stall_s),
        every_frame=open_camera is None and profile.camera.source in ("video", "images"),
    )
    return Parts(capture=capture, indicator=indicator, lock=lock, doors=doors, problems=problems)


def camera_opener(section: Camera) -> OpenCamera:
    """Return what opens the camera that ``section`` names, anew at each call."""
    match section.source:
        case "picamera2":
            from edge.capture.picamera import PiCamera

            return lambda: PiCamera(section)
        case "v4l2":
            from edge.capture.opencv import V4l2Camera

            return lambda: V4l2Camera(section)
        case "video":
            from edge.capture.opencv import VideoFile

            return lambda: VideoFile(Path(section.path or ""))
        case "images":
            from edge.capture.images import PictureFolder

            return lambda: PictureFolder(Path(section.path or ""))
        case _:
            assert_never(section.source)


def _gpio(profile: Profile, pin_factory: Any, problems: dict[str, str]) -> tuple[Indicator, Lock, DoorSensor]:
    wanted = profile.indicators.pins or profile.locker.compartments
    if not wanted:
        return NoIndicator(), NoLocker(), NoLocker()
    try:
        factory = pin_factory or open_pin_factory()
    except PinsUnavailableError as error:
        problems["gpio_unavailable"] = str(error)
        return NoIndicator(), NoLocker(str(error)), NoLocker(str(error))
    lock, doors = _locker(profile, factory, problems)
    return _indicator(profile, factory, problems), lock, doors


def _locker(profile: Profile, factory: Any, problems: dict[str, str]) -> tuple[Lock, DoorSensor]:
    from edge.devices.door import GpioDoorSensor
    from edge.devices.lock import GpioLock

    if not profile.locker.compartments:
        return NoLocker(), NoLocker()
    try:
        lock = GpioLock(profile.locker, pin_factory=factory)
    except LockError as error:
        problems["lock_unavailable"] = str(error)
        return NoLocker(str(error)), NoLocker(str(error))
    doors = GpioDoorSensor(profile.locker, pin_factory=factory)
    problems.update({f"door_{name}": detail for name, detail in doors.problems.items()})
    return lock, doors


def _indicator(profile: Profile, factory: Any, problems: dict[str, str]) -> Indicator:
    from edge.devices.indicator import GpioIndicator

    indicator = GpioIndicator(profile.indicators, pin_factory=factory)
    problems.update({f"indicator_{name}": detail for name, detail in indicator.problems.items()})
    return indicator


@contextmanager
def build_scanner(
    profile: Profile,
    data: Path,
    parts: Parts,
    *,
    log: FilteringBoundLogger,
    synchronised: Callable[[], bool] = synchronised_by_systemd,
) -> Iterator[Daemon]:
    """Join store, trust, decoder and ``parts`` into a daemon; release everything at the end.

    ``synchronised`` says whether the wall clock was set from a source of time since the boot.
    Never raises for what the disk, the roots file or the hardware are like: it becomes a named problem.
    """
    health = Health(limit_s=_STUCK_AFTER_S)
    for name, detail in parts.problems.items():
        health.set_problem(name, detail)
    opened = _open(profile, data)
    if opened.state not in (StoreState.READY, StoreState.NEW):
        health.set_problem(opened.state.value, opened.detail)
    store = opened.store
    clock = WallClock(_floor_s(store), synchronised=synchronised)
    anchors = _anchors(profile, store, clock, health)
    decoder = LiveDecoder(budget_ms=profile.decode.budget_ms)
    pickups = _pickups(profile, store, parts, clock, log)
    supervisor = Supervisor(
        health=health,
        health_file=data / "health.json",
        capture=parts.capture,
        decoder=decoder,
        store=store,
        anchors=anchors,
        clock=clock,
        log=log,
        notify=notify,
        store_is_back=lambda: _open_and_close(profile, data),
    )
    with ExitStack() as releases:
        releases.callback(lambda: store.close() if store is not None else None)
        releases.callback(decoder.close)
        releases.callback(parts.close)
        parts.capture.start()
        yield Daemon(
            frames=parts.capture,
            decoder=decoder,
            hold_off=HoldOff(profile.decode.hold_off_s),
            gate=_gate(profile, store, anchors, opened.detail),
            pickups=pickups,
            panel=Panel(parts.indicator, profile.indicators.hold_s),
            clock=clock,
            supervisor=supervisor,
            log=log,
        )


def _open(profile: Profile, data: Path) -> Opened:
    return open_store(
        data,
        device_id=profile.device.id,
        now_s=int(time.time()),
        random_bytes=secrets.token_bytes,
        floor_s=RELEASED_S,
    )


def _open_and_close(profile: Profile, data: Path) -> bool:
    store = _open(profile, data).store
    if store is not None:
        store.close()
    return store is not None


def _floor_s(store: Store | None) -> int:
    return RELEASED_S if store is None else time_floor_s(store)


def _anchors(profile: Profile, store: Store | None, clock: WallClock, health: Health) -> Anchors | None:
    roots = load_roots(Path(profile.trust.roots_file))
    if isinstance(roots, str):
        health.set_problem("no_roots", roots)
        roots = Roots(version=0, keys=())
    if store is None:
        return None
    anchors = Anchors(store, roots)
    for name, detail in anchors.refresh(clock.now()).items():
        health.set_problem(name, detail)
    return anchors


def _gate(profile: Profile, store: Store | None, anchors: Anchors | None, detail: str) -> Gate:
    redeemer = Redeemer(
        store,
        place=place_of(profile),
        policy=profile.policy,
        grace_s=profile.locker.grace_s,
        random_bytes=secrets.token_bytes,
        unavailable=detail,
    )
    return Gate(redeemer, anchors, audiences=audiences_of(profile), policy=verify_policy_of(profile))


def _pickups(
    profile: Profile, store: Store | None, parts: Parts, clock: WallClock, log: FilteringBoundLogger
) -> Pickups | None:
    if store is None:
        return None
    section = profile.locker
    pickups = Pickups(
        store,
        parts.lock,
        parts.doors,
        times=DoorTimes(open_s=section.door_open_timeout_s, close_s=section.door_close_timeout_s),
        random_bytes=secrets.token_bytes,
        with_contact=frozenset(name for name, door in section.compartments.items() if door.door_pin is not None),
    )
    for item in pickups.recover(clock.monotonic_s(), clock.now()):
        log.warning("door_after_restart", compartment=item.compartment, state=item.state.value, detail=item.detail)
    return pickups
