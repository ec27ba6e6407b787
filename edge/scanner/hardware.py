"""The hardware as the scanner sees it: ports, scan engines and what is wrong with each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from edge.capture.capture_status import CaptureStatus
from edge.capture.scan_engine import EngineWorker
from edge.ports import DoorSensor, Exposure, Frame, Indicator, Lock, ReportsProblems, Switch


class CaptureSource(Protocol):
    """Where frames come from: a ``CaptureWorker``, or one that the life cycle keeps running."""

    def start(self) -> None:
        """Begin to capture."""
        ...

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait up to ``timeout_s`` for the newest frame. None: none came in time."""
        ...

    def expose(self, wanted: Exposure | None) -> None:
        """Expose the frames to come like this, where the camera can; None: as the profile says."""
        ...

    def status(self) -> CaptureStatus:
        """Return the state of the camera."""
        ...

    def close(self) -> None:
        """Stop. Safe to call twice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The hardware of a device. ``problems`` names what the device lacks of its profile."""

    capture: CaptureSource
    indicator: Indicator
    lock: Lock
    doors: DoorSensor
    engines: tuple[EngineWorker, ...] = ()
    trigger: Switch | None = None
    presence: Switch | None = None
    problems: dict[str, str] = field(default_factory=dict)

    def problems_now(self) -> dict[str, str]:
        """Return what is wrong now with parts that come and go: scan engines, lock boards."""
        engines = {
            f"engine_{engine.name}": engine.problem for engine in self.engines if engine.problem
        }
        return engines | (self.lock.problems if isinstance(self.lock, ReportsProblems) else {})

    def close(self) -> None:
        """Release everything, locks first."""
        self.lock.close()
        self.doors.close()
        for part in (*self.engines, self.trigger, self.presence):
            if part is not None:
                part.close()
        self.capture.close()
        self.indicator.close()
