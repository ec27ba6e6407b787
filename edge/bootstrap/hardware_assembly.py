"""From a device profile to real devices. The only module that names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_never

from edge import ports
from edge.capture.camera_worker import CaptureTimings, CaptureWorker
from edge.capture.scan_engine import EngineWorker
from edge.config import CameraSection, EnginesSection, Presence, Profile, Trigger
from edge.devices.gpio_trigger import GpioTrigger, TriggerUnavailableError
from edge.devices.lock_board import LockBoards
from edge.devices.null_devices import NoIndicator, NoLocker
from edge.devices.pin_factory import PinsUnavailableError, open_pin_factory
from edge.ports import DoorSensor, Indicator, Lock, LockError
from edge.scanner.hardware import Hardware

OpenCamera = Callable[[], ports.Camera]


def build_hardware(
    profile: Profile, *, pin_factory: Any = None, open_camera: OpenCamera | None = None
) -> Hardware:
    """Build the devices of ``profile``. Missing hardware is a problem in the result, not an error.

    ``pin_factory`` and ``open_camera`` replace the real ones; a simulator passes its own.
    """
    problems: dict[str, str] = {}
    factory = _pin_factory(profile, pin_factory, problems)
    lock, doors = _locker(profile, factory, problems)
    capture = CaptureWorker(
        open_camera or camera_opener(profile.camera),
        timings=CaptureTimings(stall_s=profile.camera.stall_s),
        every_frame=open_camera is None and profile.camera.source in ("video", "images"),
    )
    return Hardware(
        capture=capture,
        indicator=_indicator(profile, factory, problems),
        lock=lock,
        doors=doors,
        engines=_engines(profile.engines),
        trigger=_trigger(profile.trigger, factory, problems),
        presence=_trigger(profile.presence, factory, problems),
        problems=problems,
    )


def camera_opener(section: CameraSection) -> OpenCamera:
    """Return the function that opens the camera of ``section``, anew at each call."""
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
            from edge.capture.image_folder import PictureFolder

            return lambda: PictureFolder(Path(section.path or ""))
        case _:
            assert_never(section.source)


def _pin_factory(profile: Profile, given: Any, problems: dict[str, str]) -> Any:
    """Return the source of pins; None when no part uses pins, or there is no GPIO."""
    on_pins = profile.locker.driver == "gpio" and profile.locker.compartments
    if not (profile.indicators.pins or on_pins or profile.trigger or profile.presence):
        return None
    try:
        return given or open_pin_factory()
    except PinsUnavailableError as error:
        problems["gpio_unavailable"] = str(error)
        return None


def _locker(profile: Profile, factory: Any, problems: dict[str, str]) -> tuple[Lock, DoorSensor]:
    from edge.devices.gpio_door import GpioDoorSensor
    from edge.devices.gpio_lock import GpioLock

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
    from edge.devices.gpio_indicator import GpioIndicator

    if factory is None:
        return NoIndicator()
    indicator = GpioIndicator(profile.indicators, pin_factory=factory)
    problems.update({f"indicator_{name}": detail for name, detail in indicator.problems.items()})
    return indicator


def _trigger(
    section: Trigger | Presence | None, factory: Any, problems: dict[str, str]
) -> GpioTrigger | None:
    """Return the trigger or sensor; None without one, or when its pin cannot be claimed.

    Without a trigger every frame is decoded.
    """
    if section is None or factory is None:
        return None
    try:
        return GpioTrigger(section, pin_factory=factory)
    except TriggerUnavailableError as error:
        problems[f"{type(section).__name__.lower()}_unavailable"] = str(error)
        return None


def _engines(section: EnginesSection) -> tuple[EngineWorker, ...]:
    from edge.capture.hid_engine import HidEngine
    from edge.capture.serial_engine import SerialEngine

    hid, serial = section.hid, section.serial
    engines = []
    if hid is not None:
        engines.append(EngineWorker("hid", lambda: HidEngine(hid)))
    if serial is not None:
        engines.append(EngineWorker("serial", lambda: SerialEngine(serial)))
    return tuple(engines)
