"""Scan, shift after shift: each daemon runs on one profile; between two, with nobody before the device, it changes.

The camera's worker goes on from shift to shift unless its own section changed, and so does the memory of the
codes in view: whoever shows a code while settings change is served by the one daemon or the other, once.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from edge.capture.capture_status import CaptureState, CaptureStatus
from edge.config import ConfigError, Profile
from edge.decode.hold_off import HoldOff
from edge.identity.identity import UNENROLLED
from edge.ports import Exposure, Frame
from edge.scanner.change_watch import EQUIPMENT, WHO, ChangeWatch
from edge.scanner.daemon import Daemon
from edge.scanner.hardware import CaptureSource, Hardware
from edge.settings import state_machine as states
from edge.settings.active_profile import ActiveProfile, keep_good, load_active_profile
from edge.settings.folder import SettingsFolder
from edge.settings.state_machine import SettingsPhase, SettingsProblem, SettingsState

FIRST_FRAME_S: Final = 8.0  # a camera that gives none within this does not know the mode

Equip = Callable[[Profile], Hardware]
Open = Callable[[Profile, Hardware, HoldOff | None], AbstractContextManager[Daemon]]


class BorrowedCapture:
    """A capture that the shifts keep running: a daemon can neither start nor end it."""

    def __init__(self, owner: CaptureSource) -> None:
        self._owner = owner

    def start(self) -> None:
        """It runs already."""

    def next_frame(self, timeout_s: float) -> Frame | None:
        """The newest frame."""
        return self._owner.next_frame(timeout_s)

    def expose(self, wanted: Exposure | None) -> None:
        """Have the frames to come exposed like this."""
        self._owner.expose(wanted)

    def status(self) -> CaptureStatus:
        """How the camera is."""
        return self._owner.status()

    def close(self) -> None:
        """It goes on."""


@dataclass(slots=True)
class ScannerLifecycle:
    """One scanner process. ``file`` is the shipped profile, ``data`` the device's folder."""

    file: Path
    data: Path
    equip: Equip
    open: Open
    log: FilteringBoundLogger
    _folder: SettingsFolder = field(init=False)
    _capture: CaptureSource | None = field(init=False, default=None)
    _camera: object = field(init=False, default=None)  # what the capture was made for
    _camera_is_new: bool = field(init=False, default=True)
    _hold_off: HoldOff | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._folder = SettingsFolder(self.data)

    def run(self, stop: threading.Event) -> bool:
        """Scan until ``stop`` is set or nothing more comes. True: only a new process can help.

        Raises ConfigurationError when neither the shipped profile nor one before it can be used.
        """
        self._count_start()
        running = self._load()
        again = False
        try:
            while True:
                running, again, change = self._shift(running, stop)
                if not change:
                    return again
        finally:
            if self._capture is not None:
                self._capture.close()
            if stop.is_set():
                self._change(lambda state: states.stop(state, WHO))

    def _shift(
        self, running: ActiveProfile, stop: threading.Event
    ) -> tuple[ActiveProfile, bool, bool]:
        """One daemon's time. Returns what to run on next, whether a new process is needed, and whether to go on."""
        began_s = time.monotonic()
        if Path(running.profile.trust.roots_file).exists():
            shutil.rmtree(
                self.data / UNENROLLED, ignore_errors=True
            )  # what it saw while it was nobody
        parts = None
        try:
            running, parts = self._equipped(running)
            with self.open(running.profile, parts, self._carried(running.profile)) as daemon:
                watch = ChangeWatch(self.data, running, parts.capture, self.log)
                daemon.errand = watch
                daemon.admit = watch.admit
                watch.look_after_identity(daemon)
                self._hold_off = daemon.hold_off
                self._enter_probation(running)
                self.log.info(
                    "settings",
                    hash=running.digest,
                    ms=round((time.monotonic() - began_s) * 1000, 1),
                )
                daemon.run(stop)
                restart = daemon.supervisor.wants_restart and not stop.is_set()
                problems = daemon.supervisor.problems
        except Exception as error:
            if parts is not None:
                parts.close()
            if not self._folder.state().phase.on_trial:
                raise
            self.log.error(
                "settings_failed", hash=running.digest, detail=f"{type(error).__name__}: {error}"
            )
            why = f"the scanner failed on it: {type(error).__name__}: {error}"
            blamed = self._folder.blamed()
            self._change(lambda state: states.roll_back(state, why, blamed))
            return self._load(), False, not stop.is_set()
        if stop.is_set() or not watch.wants_change:
            return running, restart, False
        self._begin_trial(problems)
        return self._load(), False, True

    # Choosing what to run on

    def _count_start(self) -> None:
        before = self._folder.state()
        if not before.phase.on_trial:
            return
        blamed = self._folder.blamed()
        self._change(lambda state: states.start(state, WHO, blamed))
        if self._folder.state().phase is SettingsPhase.ROLLED_BACK:
            self.log.error(
                "settings_rolled_back", hash=before.candidate, detail="the process died on them"
            )

    def _load(self) -> ActiveProfile:
        running = load_active_profile(self.file, self.data)
        if isinstance(running, list):
            raise ConfigurationError(running)
        if running.invalid:
            self.log.error("profile_invalid", detail=running.invalid)
        try:
            keep_good(self.file, self.data)
        except OSError as error:
            self.log.error("settings_not_kept", detail=str(error))
        if running.damage:
            self.log.error("identity_damaged", detail=running.damage)
        if running.problem:
            self.log.error("settings_unusable", detail=running.problem)
            self._change(
                lambda state: (
                    states.roll_back(state, running.problem) if state.phase.on_trial else state
                )
            )
        return running

    def _begin_trial(self, problems: dict[str, str]) -> None:
        """On disk before anything is changed: a process that dies from here on is counted."""
        baseline = [name for name in problems if name.startswith(EQUIPMENT)]
        self._change(
            lambda state: (
                states.apply(state, baseline) if state.phase is SettingsPhase.STAGED else state
            )
        )

    def _enter_probation(self, running: ActiveProfile) -> None:
        def entered(state: SettingsState) -> SettingsState:
            applying = state.phase is SettingsPhase.APPLYING and state.candidate == running.digest
            return replace(state, phase=SettingsPhase.PROBATION) if applying else state

        self._change(entered)

    def _change(self, step: Callable[[SettingsState], SettingsState]) -> None:
        """Put a new state on disk. A disk that does not take it leaves the device as it is."""
        try:
            self._folder.change(step)
        except OSError as error:
            self.log.error("settings_not_kept", detail=str(error))

    # Parts

    def _equipped(self, running: ActiveProfile) -> tuple[ActiveProfile, Hardware]:
        """The parts for ``running``; where a candidate's do not come, those for what was good before."""
        parts = self._parts(running)
        state = self._folder.state()
        if state.phase is not SettingsPhase.APPLYING or state.candidate != running.digest:
            return running, parts
        if not (wrong := self._missing(parts, state, running.profile)):
            return running, parts
        parts.close()
        self.log.warning(
            "settings_invalid",
            hash=running.digest,
            errors=[f"{each.path}: {each.message}" for each in wrong],
        )
        blamed = self._folder.blamed()
        self._change(lambda now: states.refuse(now, wrong, denied=blamed))
        before = self._load()
        return before, self._parts(before)

    def _parts(self, running: ActiveProfile) -> Hardware:
        parts = self.equip(running.profile)
        self._camera_is_new = self._capture is None or self._camera != running.profile.camera
        if self._camera_is_new or self._capture is None:
            if self._capture is not None:
                self._capture.close()
            self._capture, self._camera = parts.capture, running.profile.camera
            self._capture.start()
        return replace(parts, capture=BorrowedCapture(self._capture))

    def _missing(
        self, parts: Hardware, state: SettingsState, profile: Profile
    ) -> list[SettingsProblem]:
        """The dry run: what the candidate's pins and camera mode lack that was there before."""
        new = {
            name: detail for name, detail in parts.problems.items() if name not in state.baseline
        }
        wrong = [SettingsProblem(_path_of(name), detail) for name, detail in new.items()]
        if self._camera_is_new and "camera" not in state.baseline:
            wrong += self._camera_wrong(profile)
        return wrong

    def _camera_wrong(self, profile: Profile) -> list[SettingsProblem]:
        assert self._capture is not None
        frame, deadline_s = None, time.monotonic() + FIRST_FRAME_S
        while frame is None and time.monotonic() < deadline_s:
            status = self._capture.status()
            if status.state in (CaptureState.LOST, CaptureState.ENDED) and status.frames == 0:
                return [SettingsProblem("camera", f"the camera does not run so: {status.detail}")]
            frame = self._capture.next_frame(0.1)
        if frame is None:
            return [SettingsProblem("camera", f"no frame within {FIRST_FRAME_S:.0f} s")]
        height, width = frame.grey.shape
        if (width, height) != (
            profile.camera.width_px,
            profile.camera.height_px,
        ) and profile.camera.source in _SIZED:
            return [
                SettingsProblem("camera.width_px", f"the camera gives {width} x {height} instead")
            ]
        return []

    def _carried(self, profile: Profile) -> HoldOff | None:
        return (
            None
            if self._hold_off is None
            else self._hold_off.with_hold_off(profile.decode.hold_off_s)
        )


class ConfigurationError(Exception):
    """The shipped profile cannot be used."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors


_SIZED: Final = ("picamera2", "v4l2")
_PATHS: Final = {
    "indicator_": "indicators",
    "door_": "locker.compartments",
    "lock_": "locker",
    "gpio_": "indicators",
}


def _path_of(problem: str) -> str:
    return next((path for prefix, path in _PATHS.items() if problem.startswith(prefix)), "")
