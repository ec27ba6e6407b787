"""The life of a scanner process: one daemon after another, each on one profile.

It changes to other settings between two daemons, when no person is served. The camera's worker
keeps running unless its own section changed, and so does the memory of the codes in view: a code
that is shown during the change is handled by one daemon or the other, once.
"""

from __future__ import annotations

import shutil
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
from edge.system.file_presence import is_missing
from edge.system.program import Stop
from edge.values.errors import EdgeError

FIRST_FRAME_S: Final = 8.0  # a camera that gives none within this does not know the mode

Equip = Callable[[Profile], Hardware]
Open = Callable[[Profile, Hardware, HoldOff | None], AbstractContextManager[Daemon]]


class BorrowedCapture:
    """A capture that the life cycle keeps running: a daemon can neither start nor end it."""

    def __init__(self, owner: CaptureSource) -> None:
        self._owner = owner

    def start(self) -> None:
        """Do nothing: it runs already."""

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait up to ``timeout_s`` for the newest frame."""
        return self._owner.next_frame(timeout_s)

    def expose(self, wanted: Exposure | None) -> None:
        """Have the frames to come exposed like this."""
        self._owner.expose(wanted)

    def status(self) -> CaptureStatus:
        """Return the state of the camera."""
        return self._owner.status()

    def close(self) -> None:
        """Do nothing: it keeps running."""


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

    def run(self, stop: Stop) -> bool:
        """Scan until ``stop`` is set or the frames have ended. True: only a new process can help.

        Raises ConfigurationError when neither the shipped profile nor one before it can be used.
        """
        self._count_start()
        try:
            running = self._load()
        except ConfigurationError:
            self._take_back_start()  # the settings on trial are not to blame
            raise
        needs_restart = False
        try:
            while True:
                running, needs_restart, change = self._run_daemon(running, stop)
                if not change:
                    return needs_restart
        finally:
            if self._capture is not None:
                self._capture.close()
            if stop.is_set():
                self._take_back_start()

    def _run_daemon(self, running: ActiveProfile, stop: Stop) -> tuple[ActiveProfile, bool, bool]:
        """Run one daemon to its end.

        Return what to run on next, whether only a new process can help, and whether another daemon
        follows.
        """
        began_s = time.monotonic()
        self._remove_unenrolled_store(running)
        parts = None
        try:
            running, parts = self._equipped(running)
            with self.open(running.profile, parts, self._carried(running.profile)) as daemon:
                watch = ChangeWatch(self.data, running, parts.capture, self.log)
                daemon.after_step = watch
                daemon.offer_enrolment_code = watch.offer_enrolment_code
                watch.enforce_identity(daemon)
                self._hold_off = daemon.hold_off
                self._enter_probation(running)
                elapsed_ms = round((time.monotonic() - began_s) * 1000, 1)
                self.log.info("settings", hash=running.digest, ms=elapsed_ms)
                daemon.run(stop)
                supervisor = daemon.supervisor
        except Exception as error:
            if parts is not None:
                parts.close()
            if not self._folder.state().phase.on_trial:
                raise
            self._roll_back(running, error)
            return self._load(), False, not stop.is_set()
        if stop.is_set():
            return running, False, False
        if watch.wants_change:
            self._begin_trial(supervisor.problems)
        elif not supervisor.wants_reopening:
            return running, supervisor.wants_restart, False
        return self._load(), False, True

    def _remove_unenrolled_store(self, running: ActiveProfile) -> None:
        """Remove what an enrolled device saw before it was enrolled."""
        if not is_missing(Path(running.profile.trust.roots_file)):
            shutil.rmtree(self.data / UNENROLLED, ignore_errors=True)

    def _roll_back(self, running: ActiveProfile, error: Exception) -> None:
        named = f"{type(error).__name__}: {error}"
        self.log.error("settings_failed", hash=running.digest, detail=named)
        blamed = self._folder.blamed()
        why = f"the scanner failed on it: {named}"
        self._change(lambda state: states.roll_back(state, why, blamed))

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

    def _take_back_start(self) -> None:
        self._change(lambda state: states.stop(state, WHO))

    def _load(self) -> ActiveProfile:
        running = load_active_profile(self.file, self.data)
        if isinstance(running, list):
            raise ConfigurationError(running)
        self.log = self.log.bind(device=running.profile.device.id)
        if running.invalid:
            self.log.error("profile_invalid", detail=running.invalid)
        try:
            keep_good(running, self.data)
        except OSError as error:
            self.log.error("settings_not_written", detail=str(error))
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
        """Note the trial on disk before anything changes: a death from here on is counted."""
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
        """Write a new state. A disk that fails leaves the device as it is."""
        try:
            self._folder.change(step)
        except OSError as error:
            self.log.error("settings_not_written", detail=str(error))

    # Hardware

    def _equipped(self, running: ActiveProfile) -> tuple[ActiveProfile, Hardware]:
        """Return the hardware for ``running``, or for the settings before where it fails."""
        parts = self._parts(running)
        state = self._folder.state()
        if state.phase is not SettingsPhase.APPLYING or state.candidate != running.digest:
            return running, parts
        if not (wrong := self._missing(parts, state, running.profile)):
            return running, parts
        parts.close()
        errors = [f"{each.path}: {each.message}" for each in wrong]
        self.log.warning("settings_invalid", hash=running.digest, errors=errors)
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
        """Return what the candidate's pins and camera mode lack that was there before."""
        new = {
            name: detail for name, detail in parts.problems.items() if name not in state.baseline
        }
        wrong = [SettingsProblem(_path_of(name), detail) for name, detail in new.items()]
        if self._camera_is_new and "camera" not in state.baseline:
            wrong += self._camera_problems(profile)
        return wrong

    def _camera_problems(self, profile: Profile) -> list[SettingsProblem]:
        assert self._capture is not None
        frame, deadline_s = None, time.monotonic() + FIRST_FRAME_S
        while frame is None and time.monotonic() < deadline_s:
            status = self._capture.status()
            if status.state in (CaptureState.LOST, CaptureState.ENDED) and status.frames == 0:
                detail = f"the camera does not run with these settings: {status.detail}"
                return [SettingsProblem("camera", detail)]
            frame = self._capture.next_frame(0.1)
        if frame is None:
            return [SettingsProblem("camera", f"no frame within {FIRST_FRAME_S:.0f} s")]
        height, width = frame.grey.shape
        wanted = (profile.camera.width_px, profile.camera.height_px)
        if (width, height) != wanted and profile.camera.source in _SIZED:
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


class ConfigurationError(EdgeError):
    """The shipped profile cannot be used, nor the one before it."""

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
