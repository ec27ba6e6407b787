"""The one place where a device profile becomes real devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

from edge import ports
from edge.capture.worker import CaptureWorker, Patience
from edge.config import Camera, Profile
from edge.devices.absent import NoIndicator, NoLocker
from edge.devices.pins import PinsUnavailableError, open_pin_factory
from edge.ports import DoorSensor, Indicator, Lock, LockError

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
        return GpioLock(profile.locker, pin_factory=factory), GpioDoorSensor(profile.locker, pin_factory=factory)
    except LockError as error:
        problems["lock_unavailable"] = str(error)
        return NoLocker(str(error)), NoLocker(str(error))


def _indicator(profile: Profile, factory: Any, problems: dict[str, str]) -> Indicator:
    from gpiozero import GPIOZeroError

    from edge.devices.indicator import GpioIndicator

    try:
        return GpioIndicator(profile.indicators, pin_factory=factory)
    except GPIOZeroError as error:
        problems["indicator_unavailable"] = f"lamps: {error}: check the pins in the profile"
        return NoIndicator()
