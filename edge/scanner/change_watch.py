"""Between two turns of a daemon: settings to change to, those on probation to judge, and who the device is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from edge.capture.capture_status import CaptureState
from edge.enrolment.code_intake import CodeIntake
from edge.enrolment.handover import EnrolmentMailbox
from edge.identity.damage import IDENTITY, identity_damage
from edge.identity.identity import why_blocked
from edge.ports import Signal
from edge.redemption.scan_handler import BlockedHandler
from edge.scanner.daemon import Daemon
from edge.scanner.hardware import CaptureSource
from edge.settings import state_machine as states
from edge.settings.active_profile import ActiveProfile
from edge.settings.folder import SettingsFolder
from edge.settings.state_machine import SettingsPhase, SettingsState, patience_s
from edge.system.file_version import file_version

WHO: Final = "scanner"
LOOK_EVERY_S: Final = 0.25
WAIT_FOR_EMPTY_VIEW_S: Final = 30.0  # a sticker in view must not hold settings up for ever
EQUIPMENT: Final = (
    "gpio_unavailable",
    "lock_unavailable",
    "indicator_",
    "door_",
    "camera",
    "engine",
)


class ChangeWatch:
    """Done between turns: looks for settings to change to, and judges those on probation."""

    def __init__(
        self, data: Path, running: ActiveProfile, capture: CaptureSource, log: FilteringBoundLogger
    ) -> None:
        self._data = data
        self._folder = SettingsFolder(data)
        self._admission = CodeIntake(EnrolmentMailbox(data))
        self._identity = file_version(data / IDENTITY)
        self._running = running
        self._capture = capture
        self._log = log
        self._due_s = 0.0
        self._began_s: float | None = None
        self._wanted_since_s: float | None = None
        self._healthy_since_s: float | None = None
        self._frames = -1
        self._freed = False  # it was blocked, and ops have taken it back
        self.wants_change = False
        # A chosen plan that cannot be used was heeded as far as it can be: changing to it again would not end.
        choice = self._folder.state().choice
        self._heeded = choice if running.problem else running.digest
        self._lost = (
            bool(running.problem) and self._folder.plan(choice) is None
        )  # its file, until sync restores it

    def __call__(self, daemon: Daemon) -> None:
        """Look, a few times a second. Sets ``supervisor.finished`` when the daemon is to make way."""
        now_s = daemon.clock.monotonic_s()
        if now_s < self._due_s:
            return
        self._due_s = now_s + LOOK_EVERY_S
        self._began_s = now_s if self._began_s is None else self._began_s
        self.look_after_identity(daemon)
        state = self._folder.state()
        if state.phase is SettingsPhase.PROBATION and state.candidate == self._running.digest:
            with suppress(
                OSError
            ):  # the disk is full: the store says so; the next look tries again
                self._judge(daemon, state, now_s)
        other = self._freed or file_version(self._data / IDENTITY) != self._identity
        restored = self._lost and self._folder.plan(state.choice) is not None
        if state.phase is SettingsPhase.STAGED or state.choice != self._heeded or other or restored:
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

    def look_after_identity(self, daemon: Daemon) -> None:
        """Whom the fleet has put out, and who cannot tell who it is, honours nothing. Before the first code, too."""
        blocked = why_blocked(self._data)
        damage = identity_damage(self._data) or None if self._running.damage else None
        daemon.supervisor.note_problem("blocked_device", blocked)
        daemon.supervisor.note_problem("identity_damaged", damage)
        daemon.supervisor.note_problem("profile_invalid", self._running.invalid or None)
        daemon.supervisor.note_problem("settings_unusable", self._running.problem or None)
        why = blocked or damage
        if why is not None and not isinstance(daemon.gate, BlockedHandler):
            daemon.gate = BlockedHandler(why)
        self._freed = why is None and isinstance(daemon.gate, BlockedHandler)
        outcome = self._admission.outcome()
        if outcome is not None:
            daemon.panel.show_result(
                Signal.GO if outcome.enrolled else Signal.STOP, daemon.clock.monotonic_s()
            )
            self._log.info(
                "enrolment", enrolled=outcome.enrolled, reason=outcome.reason, detail=outcome.detail
            )

    def _change_when_idle(self, daemon: Daemon, now_s: float) -> None:
        if self._wanted_since_s is None:
            self._wanted_since_s = now_s
        empty = not daemon.hold_off.in_view or now_s - self._wanted_since_s > WAIT_FOR_EMPTY_VIEW_S
        if empty and not daemon.serving:
            self.wants_change = True
            daemon.supervisor.finished = "other settings"

    def _judge(self, daemon: Daemon, state: SettingsState, now_s: float) -> None:
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
        elif self._began_s is not None and now_s - self._began_s > patience_s(probation_s):
            blamed = self._folder.blamed()
            self._keep(
                state,
                lambda now: states.roll_back(
                    now, why or "not healthy within its probation", blamed
                ),
            )
            self._log.error("settings_rolled_back", hash=state.candidate, detail=why)

    def _keep(self, judged: SettingsState, step: Callable[[SettingsState], SettingsState]) -> None:
        with self._folder.locked() as state:
            if state.phase is SettingsPhase.PROBATION and state.candidate == judged.candidate:
                self._folder.keep(step(state))

    def _unhealthy(self, daemon: Daemon, state: SettingsState) -> str:
        problems = daemon.supervisor.problems
        new = [
            name for name in problems if name.startswith(EQUIPMENT) and name not in state.baseline
        ]
        status = self._capture.status()
        moved, self._frames = status.frames != self._frames, status.frames
        if new:
            return f"{new[0]}: {problems[new[0]]}"
        if "camera" not in state.baseline and not (
            status.state is CaptureState.STREAMING and moved
        ):
            return f"camera: {status.state}: no frames"
        return ""
