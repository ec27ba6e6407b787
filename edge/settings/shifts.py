"""Scan, shift after shift: each daemon runs on one profile; between two, with nobody before the device, it changes.

The camera's worker goes on from shift to shift unless its own section changed, and so does the memory of the
codes in view: whoever shows a code while settings change is served by the one daemon or the other, once.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from edge.bootstrap import Capturing, Parts
from edge.capture.worker import CaptureState, CaptureStatus
from edge.config import ConfigError, Profile
from edge.daemon import Daemon
from edge.decode.holdoff import HoldOff
from edge.enrolment.admission import Admission
from edge.enrolment.blocked import BlockedGate
from edge.enrolment.identity import UNENROLLED, why_blocked
from edge.enrolment.post import Post
from edge.ports import Frame, Signal
from edge.settings import state as states
from edge.settings.folder import SettingsFolder
from edge.settings.running import IDENTITY, Running, load_running
from edge.settings.state import Phase, State, Wrong, patience_s

WHO: Final = "scanner"
LOOK_EVERY_S: Final = 0.25
WAIT_FOR_EMPTY_VIEW_S: Final = 30.0  # a sticker in view must not hold settings up for ever
FIRST_FRAME_S: Final = 8.0  # a camera that gives none within this does not know the mode
_EQUIPMENT: Final = ("gpio_unavailable", "lock_unavailable", "indicator_", "door_", "camera", "engine")

Equip = Callable[[Profile], Parts]
Open = Callable[[Profile, Parts, HoldOff | None], AbstractContextManager[Daemon]]


class Lent:
    """A capture that the shifts keep running: a daemon can neither start nor end it."""

    def __init__(self, owner: Capturing) -> None:
        self._owner = owner

    def start(self) -> None:
        """It runs already."""

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame."""
        return self._owner.take(timeout_s)

    def status(self) -> CaptureStatus:
        """How the camera is."""
        return self._owner.status()

    def close(self) -> None:
        """It goes on."""


@dataclass(slots=True)
class Shifts:
    """One scanner process. ``file`` is the shipped profile, ``data`` the device's folder."""

    file: Path
    data: Path
    equip: Equip
    open: Open
    log: FilteringBoundLogger
    _folder: SettingsFolder = field(init=False)
    _capture: Capturing | None = field(init=False, default=None)
    _camera: object = field(init=False, default=None)  # what the capture was made for
    _camera_is_new: bool = field(init=False, default=True)
    _hold_off: HoldOff | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._folder = SettingsFolder(self.data)

    def run(self, stop: threading.Event) -> bool:
        """Scan until ``stop`` is set or nothing more comes. True: only a new process can help.

        Raises ConfigurationError when even the shipped profile cannot be used.
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

    def _shift(self, running: Running, stop: threading.Event) -> tuple[Running, bool, bool]:
        """One daemon's time. Returns what to run on next, whether a new process is needed, and whether to go on."""
        began_s = time.monotonic()
        if Path(running.profile.trust.roots_file).exists():
            shutil.rmtree(self.data / UNENROLLED, ignore_errors=True)  # what it saw while it was nobody
        parts = None
        try:
            running, parts = self._equipped(running)
            with self.open(running.profile, parts, self._carried(running.profile)) as daemon:
                watch = _Watch(self.data, running, parts.capture, self.log)
                daemon.errand = watch
                daemon.admit = watch.admit
                self._hold_off = daemon.hold_off
                self._enter_probation(running)
                self.log.info("settings", hash=running.digest, ms=round((time.monotonic() - began_s) * 1000, 1))
                daemon.run(stop)
                restart = daemon.supervisor.wants_restart and not stop.is_set()
                problems = daemon.supervisor.problems
        except Exception as error:
            if parts is not None:
                parts.close()
            if not self._folder.state().phase.on_trial:
                raise
            self.log.error("settings_failed", hash=running.digest, detail=f"{type(error).__name__}: {error}")
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
        if self._folder.state().phase is Phase.ROLLED_BACK:
            self.log.error("settings_rolled_back", hash=before.candidate, detail="the process died on them")

    def _load(self) -> Running:
        running = load_running(self.file, self.data)
        if isinstance(running, list):
            raise ConfigurationError(running)
        if running.problem:
            self.log.error("settings_unusable", detail=running.problem)
            self._change(lambda state: states.roll_back(state, running.problem) if state.phase.on_trial else state)
        return running

    def _begin_trial(self, problems: dict[str, str]) -> None:
        """On disk before anything is changed: a process that dies from here on is counted."""
        baseline = [name for name in problems if name.startswith(_EQUIPMENT)]
        self._change(lambda state: states.apply(state, baseline) if state.phase is Phase.STAGED else state)

    def _enter_probation(self, running: Running) -> None:
        def entered(state: State) -> State:
            applying = state.phase is Phase.APPLYING and state.candidate == running.digest
            return replace(state, phase=Phase.PROBATION) if applying else state

        self._change(entered)

    def _change(self, step: Callable[[State], State]) -> None:
        """Put a new state on disk. A disk that does not take it leaves the device as it is."""
        try:
            self._folder.change(step)
        except OSError as error:
            self.log.error("settings_not_kept", detail=str(error))

    # Parts

    def _equipped(self, running: Running) -> tuple[Running, Parts]:
        """The parts for ``running``; where a candidate's do not come, those for what was good before."""
        parts = self._parts(running)
        state = self._folder.state()
        if state.phase is not Phase.APPLYING or state.candidate != running.digest:
            return running, parts
        if not (wrong := self._missing(parts, state, running.profile)):
            return running, parts
        parts.close()
        self.log.warning(
            "settings_invalid", hash=running.digest, errors=[f"{each.path}: {each.message}" for each in wrong]
        )
        blamed = self._folder.blamed()
        self._change(lambda now: states.refuse(now, wrong, denied=blamed))
        before = self._load()
        return before, self._parts(before)

    def _parts(self, running: Running) -> Parts:
        parts = self.equip(running.profile)
        self._camera_is_new = self._capture is None or self._camera != running.profile.camera
        if self._camera_is_new or self._capture is None:
            if self._capture is not None:
                self._capture.close()
            self._capture, self._camera = parts.capture, running.profile.camera
            self._capture.start()
        return replace(parts, capture=Lent(self._capture))

    def _missing(self, parts: Parts, state: State, profile: Profile) -> list[Wrong]:
        """The dry run: what the candidate's pins and camera mode lack that was there before."""
        new = {name: detail for name, detail in parts.problems.items() if name not in state.baseline}
        wrong = [Wrong(_path_of(name), detail) for name, detail in new.items()]
        if self._camera_is_new and "camera" not in state.baseline:
            wrong += self._camera_wrong(profile)
        return wrong

    def _camera_wrong(self, profile: Profile) -> list[Wrong]:
        assert self._capture is not None
        frame, deadline_s = None, time.monotonic() + FIRST_FRAME_S
        while frame is None and time.monotonic() < deadline_s:
            status = self._capture.status()
            if status.state in (CaptureState.LOST, CaptureState.ENDED) and status.frames == 0:
                return [Wrong("camera", f"the camera does not run so: {status.detail}")]
            frame = self._capture.take(0.1)
        if frame is None:
            return [Wrong("camera", f"no frame within {FIRST_FRAME_S:.0f} s")]
        height, width = frame.grey.shape
        if (width, height) != (profile.camera.width_px, profile.camera.height_px) and profile.camera.source in _SIZED:
            return [Wrong("camera.width_px", f"the camera gives {width} x {height} instead")]
        return []

    def _carried(self, profile: Profile) -> HoldOff | None:
        return None if self._hold_off is None else self._hold_off.carried(profile.decode.hold_off_s)


class ConfigurationError(Exception):
    """The shipped profile cannot be used."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors


_SIZED: Final = ("picamera2", "v4l2")
_PATHS: Final = {"indicator_": "indicators", "door_": "locker.compartments", "lock_": "locker", "gpio_": "indicators"}


def _path_of(problem: str) -> str:
    return next((path for prefix, path in _PATHS.items() if problem.startswith(prefix)), "")


def _mark(path: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced; None when there is none."""
    with suppress(OSError):
        status = path.stat()
        return status.st_ino, status.st_mtime_ns
    return None


class _Watch:
    """Done between turns: looks for settings to change to, and judges those on probation."""

    def __init__(self, data: Path, running: Running, capture: Capturing, log: FilteringBoundLogger) -> None:
        self._data = data
        self._folder = SettingsFolder(data)
        self._admission = Admission(Post(data))
        self._identity = _mark(data / IDENTITY)
        self._running = running
        self._capture = capture
        self._log = log
        self._due_s = 0.0
        self._began_s = time.monotonic()
        self._wanted_since_s: float | None = None
        self._healthy_since_s: float | None = None
        self._frames = -1
        self._freed = False  # it was blocked, and ops have taken it back
        self.wants_change = False

    def __call__(self, daemon: Daemon) -> None:
        now_s = daemon.clock.monotonic_s()
        if now_s < self._due_s:
            return
        self._due_s = now_s + LOOK_EVERY_S
        self._look_after_identity(daemon)
        state = self._folder.state()
        if state.phase is Phase.PROBATION and state.candidate == self._running.digest:
            with suppress(OSError):  # the disk is full: the store says so; the next look tries again
                self._judge(daemon, state, now_s)
        other = self._freed or _mark(self._data / IDENTITY) != self._identity
        if state.phase is Phase.STAGED or state.choice != self._running.digest or other:
            self._change_when_idle(daemon, now_s)
        else:
            self._wanted_since_s = None

    def admit(self, content: bytes) -> str | None:
        """Pass an enrolment code on to sync."""
        try:
            return self._admission.offer(content)
        except OSError as error:
            self._log.error("enrolment_code_not_kept", detail=str(error))
            return None

    def _look_after_identity(self, daemon: Daemon) -> None:
        why = why_blocked(self._data)
        daemon.supervisor.note_problem("blocked_device", why)
        if why is not None and not isinstance(daemon.gate, BlockedGate):
            daemon.gate = BlockedGate(why)
        self._freed = why is None and isinstance(daemon.gate, BlockedGate)
        outcome = self._admission.outcome()
        if outcome is not None:
            daemon.panel.result(Signal.GO if outcome.enrolled else Signal.STOP, daemon.clock.monotonic_s())
            self._log.info("enrolment", enrolled=outcome.enrolled, reason=outcome.reason, detail=outcome.detail)

    def _change_when_idle(self, daemon: Daemon, now_s: float) -> None:
        if self._wanted_since_s is None:
            self._wanted_since_s = now_s
        empty = not daemon.hold_off.in_view or now_s - self._wanted_since_s > WAIT_FOR_EMPTY_VIEW_S
        if empty and not daemon.serving:
            self.wants_change = True
            daemon.supervisor.finished = "other settings"

    def _judge(self, daemon: Daemon, state: State, now_s: float) -> None:
        plan = self._folder.plan(state.candidate)
        probation_s = plan.probation_s if plan else 1
        why = self._unhealthy(daemon, state)
        if why:
            self._healthy_since_s = None
        elif self._healthy_since_s is None:
            self._healthy_since_s = now_s
        if self._healthy_since_s is not None and now_s - self._healthy_since_s >= probation_s:
            if WHO not in state.proven:
                self._keep(state, lambda now: states.prove(now, WHO))
        elif now_s - self._began_s > patience_s(probation_s):
            blamed = self._folder.blamed()
            self._keep(state, lambda now: states.roll_back(now, why or "not healthy within its probation", blamed))
            self._log.error("settings_rolled_back", hash=state.candidate, detail=why)

    def _keep(self, judged: State, step: Callable[[State], State]) -> None:
        with self._folder.locked() as state:
            if state.phase is Phase.PROBATION and state.candidate == judged.candidate:
                self._folder.keep(step(state))

    def _unhealthy(self, daemon: Daemon, state: State) -> str:
        problems = daemon.supervisor.problems
        new = [name for name in problems if name.startswith(_EQUIPMENT) and name not in state.baseline]
        status = self._capture.status()
        moved, self._frames = status.frames != self._frames, status.frames
        if new:
            return f"{new[0]}: {problems[new[0]]}"
        if "camera" not in state.baseline and not (status.state is CaptureState.STREAMING and moved):
            return f"camera: {status.state}: no frames"
        return ""
