"""The one place where a device profile becomes real devices."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, assert_never

from structlog.typing import FilteringBoundLogger

from edge import ports
from edge.actuator import Actuator, InTurn
from edge.anchors import Anchors, load_roots
from edge.capture.engine import EngineWorker
from edge.capture.triggered import TriggeredFrames
from edge.capture.worker import CaptureStatus, CaptureWorker, Patience
from edge.clock import WallClock, synchronised_by_systemd
from edge.config import Camera, Engines, Profile
from edge.daemon import Daemon, Frames
from edge.decode.holdoff import HoldOff
from edge.decode.live import LiveDecoder
from edge.devices.absent import NoIndicator, NoLocker
from edge.devices.lock_board import LockBoards
from edge.devices.pins import PinsUnavailableError, open_pin_factory
from edge.devices.trigger import GpioTrigger, TriggerUnavailableError
from edge.enrolment.identity import UNENROLLED
from edge.gate import Gate, audiences_of, verify_policy_of
from edge.health import Health
from edge.notify import notify
from edge.operators.sign_in import desk_of
from edge.panel import Panel
from edge.pickup import DoorTimes, Pickups
from edge.ports import DoorSensor, Frame, Indicator, Lock, LockError
from edge.redeem import Redeemer
from edge.standing import place_of
from edge.store.claims import DEADLINE_S
from edge.store.floor import time_floor_s
from edge.store.opening import Opened, StoreState, open_store
from edge.store.store import FILE as STORE_FILE
from edge.store.store import Store
from edge.supervise import Supervisor
from edge.token.roots import Roots

RELEASED_S: Final = 1_735_689_600  # 2025-01-01: no clock is believed to be earlier (TOKEN, "Time")
_STEADY_S: Final = 0.25  # a door contact that says closed for this long does not bounce
_STUCK_AFTER_S: Final = 10.0  # below the unit's WatchdogSec

OpenCamera = Callable[[], ports.Camera]


class Capturing(Protocol):
    """Where frames come from: a ``CaptureWorker``, or one that is lent by who keeps it running."""

    def start(self) -> None:
        """Begin to capture."""
        ...

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame, or None when none came in time."""
        ...

    def status(self) -> CaptureStatus:
        """How the camera is."""
        ...

    def close(self) -> None:
        """Stop. Safe to call twice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The hardware of a device. ``problems`` names what the profile asks for and the device lacks."""

    capture: Capturing
    indicator: Indicator
    lock: Lock
    doors: DoorSensor
    engines: tuple[EngineWorker, ...] = ()
    trigger: GpioTrigger | None = None
    problems: dict[str, str] = field(default_factory=dict)

    def problems_now(self) -> dict[str, str]:
        """What is wrong at this moment with parts that come and go: scan engines, lock boards."""
        engines = {f"engine_{engine.name}": engine.problem for engine in self.engines if engine.problem}
        return engines | (self.lock.problems if isinstance(self.lock, LockBoards) else {})

    def close(self) -> None:
        """Release everything, locks first."""
        self.lock.close()
        self.doors.close()
        for part in (*self.engines, self.trigger):
            if part is not None:
                part.close()
        self.capture.close()
        self.indicator.close()


def build_parts(profile: Profile, *, pin_factory: Any = None, open_camera: OpenCamera | None = None) -> Parts:
    """Build what ``profile`` asks for. Never raises for missing hardware: it becomes a named problem.

    ``pin_factory`` and ``open_camera`` replace the real ones; a simulator passes its own.
    """
    problems: dict[str, str] = {}
    factory = _pin_factory(profile, pin_factory, problems)
    lock, doors = _locker(profile, factory, problems)
    capture = CaptureWorker(
        open_camera or camera_opener(profile.camera),
        patience=Patience(stall_s=profile.camera.stall_s),
        every_frame=open_camera is None and profile.camera.source in ("video", "images"),
    )
    return Parts(
        capture=capture,
        indicator=_indicator(profile, factory, problems),
        lock=lock,
        doors=doors,
        engines=_engines(profile.engines),
        trigger=_trigger(profile, factory, problems),
        problems=problems,
    )


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


def _pin_factory(profile: Profile, given: Any, problems: dict[str, str]) -> Any:
    """What pins are taken from; None when no part needs one, or there is no GPIO."""
    on_pins = profile.locker.driver == "gpio" and profile.locker.compartments
    if not (profile.indicators.pins or on_pins or profile.trigger):
        return None
    try:
        return given or open_pin_factory()
    except PinsUnavailableError as error:
        problems["gpio_unavailable"] = str(error)
        return None


def _locker(profile: Profile, factory: Any, problems: dict[str, str]) -> tuple[Lock, DoorSensor]:
    from edge.devices.door import GpioDoorSensor
    from edge.devices.lock import GpioLock

    if not profile.locker.compartments:
        return NoLocker(), NoLocker()
    if profile.locker.driver == "board":
        boards = LockBoards(profile.locker)
        return boards, boards
    if factory is None:
        return NoLocker(problems["gpio_unavailable"]), NoLocker(problems["gpio_unavailable"])
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

    if factory is None:
        return NoIndicator()
    indicator = GpioIndicator(profile.indicators, pin_factory=factory)
    problems.update({f"indicator_{name}": detail for name, detail in indicator.problems.items()})
    return indicator


def _trigger(profile: Profile, factory: Any, problems: dict[str, str]) -> GpioTrigger | None:
    """The trigger; None: the camera's frames are always decoded, also when the pin cannot be had."""
    if profile.trigger is None or factory is None:
        return None
    try:
        return GpioTrigger(profile.trigger, pin_factory=factory)
    except TriggerUnavailableError as error:
        problems["trigger_unavailable"] = str(error)
        return None


def _engines(section: Engines) -> tuple[EngineWorker, ...]:
    from edge.capture.hid import HidEngine
    from edge.capture.serial_engine import SerialEngine

    hid, serial = section.hid, section.serial
    engines = []
    if hid is not None:
        engines.append(EngineWorker("hid", lambda: HidEngine(hid)))
    if serial is not None:
        engines.append(EngineWorker("serial", lambda: SerialEngine(serial)))
    return tuple(engines)


@contextmanager
def build_scanner(
    profile: Profile,
    data: Path,
    parts: Parts,
    *,
    log: FilteringBoundLogger,
    synchronised: Callable[[], bool] = synchronised_by_systemd,
    hold_off: HoldOff | None = None,
) -> Iterator[Daemon]:
    """Join store, trust, decoder and ``parts`` into a daemon; release everything at the end.

    ``synchronised`` says whether the wall clock was set from a source of time since the boot;
    ``hold_off`` goes on where a daemon before this one was.
    Never raises for what the disk, the roots file or the hardware are like: it becomes a named problem.
    """
    hold_off = HoldOff(profile.decode.hold_off_s) if hold_off is None else hold_off
    health = Health(limit_s=_STUCK_AFTER_S)
    for name, detail in parts.problems.items():
        health.set_problem(name, detail)
    opened = _open(profile, _store_folder(profile, data))
    if opened.state not in (StoreState.READY, StoreState.NEW):
        health.set_problem(opened.state.value, opened.detail)
    store = opened.store
    clock = WallClock(_floor_s(store), synchronised=synchronised)
    anchors = _anchors(profile, store, clock, health)
    decoder = LiveDecoder(budget_ms=profile.decode.budget_ms)
    actuator = InTurn(parts.lock)
    pickups = _pickups(profile, store, parts=parts, actuator=actuator, clock=clock, log=log)
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
        store_is_back=lambda: _open_and_close(profile, _store_folder(profile, data)),
        devices=parts.problems_now,
        policy=profile.policy,
    )
    with ExitStack() as releases:
        releases.callback(lambda: store.close() if store is not None else None)
        releases.callback(decoder.close)
        releases.callback(actuator.close)  # after the lock is closed, which ends a pulse
        releases.callback(parts.close)
        parts.capture.start()
        for engine in parts.engines:
            engine.start()
        yield Daemon(
            frames=_frames(profile, parts, hold_off),
            engines=parts.engines,
            decoder=decoder,
            hold_off=hold_off,
            gate=_gate(profile, store, anchors, opened.detail),
            pickups=pickups,
            panel=Panel(parts.indicator, profile.indicators.hold_s),
            clock=clock,
            supervisor=supervisor,
            log=log,
        )


def _frames(profile: Profile, parts: Parts, hold_off: HoldOff) -> Frames:
    """The frames to decode. What was in view when the trigger was let go counts anew when it is pressed again."""
    if parts.trigger is None or profile.trigger is None:
        return parts.capture
    return TriggeredFrames(
        parts.capture,
        parts.trigger.is_pressed,
        scan_s=profile.trigger.scan_s,
        at_sleep=lambda: hold_off.fresh((), time.monotonic()),
    )


def _store_folder(profile: Profile, data: Path) -> Path:
    """A device that is nobody yet keeps no store under a name that it will not have."""
    enrolled = Path(profile.trust.roots_file).exists() or (data / STORE_FILE).exists()
    return data if enrolled else data / UNENROLLED


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
        claim_within_s=None if profile.mqtt is None else DEADLINE_S,
    )
    return Gate(
        redeemer,
        anchors,
        audiences=audiences_of(profile),
        policy=verify_policy_of(profile),
        desk=None if store is None else desk_of(profile, store, secrets.token_bytes),
    )


def _pickups(
    profile: Profile,
    store: Store | None,
    *,
    parts: Parts,
    actuator: Actuator,
    clock: WallClock,
    log: FilteringBoundLogger,
) -> Pickups | None:
    if store is None:
        return None
    section = profile.locker
    pickups = Pickups(
        store,
        parts.lock,
        parts.doors,
        times=DoorTimes(open_s=section.door_open_timeout_s, close_s=section.door_close_timeout_s, steady_s=_STEADY_S),
        random_bytes=secrets.token_bytes,
        with_contact=frozenset(name for name, door in section.compartments.items() if door.has_contact),
        actuator=actuator,
    )
    for item in pickups.recover(clock.monotonic_s(), clock.now()):
        log.warning("door_after_restart", compartment=item.compartment, state=item.state.value, detail=item.detail)
    return pickups
