"""What a running scanner follows: settings to change to, settings on probation, its identity."""

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
from edge.settings.probation import Probation
from edge.settings.state_machine import SettingsPhase, SettingsState
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
    """The daemon's hook between two steps, for the time that it runs on one profile."""

    def __init__(
        self, data: Path, running: ActiveProfile, capture: CaptureSource, log: FilteringBoundLogger
    ) -> None:
        self._data = data
        self._folder = SettingsFolder(data)
        self._codes = CodeIntake(EnrolmentMailbox(data))
        self._identity = running.identity_version
        self._running = running
        self._capture = capture
        self._log = log
        self._due_s = 0.0
        self._probation: Probation | None = None
        self._wanted_since_s: float | None = None
        self._frames = -1
        self._unblocked = False  # it was blocked, and the fleet has enrolled it again
        self.wants_change = False
        # A chosen plan that cannot be used is handled as far as it can be: changing to it again
        # would not end.
        choice = self._folder.state().choice
        self._handled = choice if running.problem else running.digest
        plan_is_lost = running.problem and self._folder.plan(choice) is None
        self._lost = bool(plan_is_lost)  # until sync restores its file

    def __call__(self, daemon: Daemon) -> None:
        """Look a few times a second; set ``supervisor.finished`` when the daemon has to end."""
        now_s = daemon.clock.monotonic_s()
        if now_s < self._due_s:
            return
        self._due_s = now_s + LOOK_EVERY_S
        self.enforce_identity(daemon)
        state = self._folder.state()
        if state.phase is SettingsPhase.PROBATION and state.candidate == self._running.digest:
            with suppress(OSError):  # the disk is full: the next look tries again
                self._observe(daemon, state, now_s)
        identity_changed = self._unblocked or file_version(self._data / IDENTITY) != self._identity
        restored = self._lost and self._folder.plan(state.choice) is not None
        new_settings = state.phase is SettingsPhase.STAGED or state.choice != self._handled
        if new_settings or identity_changed or restored:
            self._change_when_idle(daemon, now_s)
        else:
            self._wanted_since_s = None

    def offer_enrolment_code(self, content: bytes) -> str | None:
        """Hand an enrolment code to edge-sync; return the device that it names, or None."""
        try:
            return self._codes.offer(content)
        except OSError as error:
            self._log.error("enrolment_code_not_written", detail=str(error))
            return None

    def enforce_identity(self, daemon: Daemon) -> None:
        """Refuse every code on a revoked or unidentifiable device.

        Called before the first scan and with every look.
        """
        blocked = why_blocked(self._data)
        damage = identity_damage(self._data) or None if self._running.damage else None
        daemon.supervisor.note_problem("blocked_device", blocked)
        daemon.supervisor.note_problem("identity_damaged", damage)
        daemon.supervisor.note_problem("profile_invalid", self._running.invalid or None)
        daemon.supervisor.note_problem("settings_unusable", self._running.problem or None)
        why = blocked or damage
        if why is not None and not isinstance(daemon.handler, BlockedHandler):
            daemon.handler = BlockedHandler(why)
        self._unblocked = why is None and isinstance(daemon.handler, BlockedHandler)
        self._show_enrolment(daemon)

    def _show_enrolment(self, daemon: Daemon) -> None:
        outcome = self._codes.outcome()
        if outcome is not None:
            signal = Signal.GO if outcome.enrolled else Signal.STOP
            daemon.display.show_result(signal, daemon.clock.monotonic_s())
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

    def _observe(self, daemon: Daemon, state: SettingsState, now_s: float) -> None:
        if self._probation is None:
            plan = self._folder.plan(state.candidate)
            duration_s = plan.probation_s if plan else 1
            self._probation = Probation(
                candidate=state.candidate, duration_s=duration_s, began_s=now_s
            )
        why = self._unhealthy(daemon, state)
        self._probation = self._probation.observed(healthy=not why, now_s=now_s)
        if self._probation.is_passed(now_s):
            if WHO not in state.proven:
                self._change(state, lambda now: states.prove(now, WHO))
        elif self._probation.is_overdue(now_s):
            blamed = self._folder.blamed()
            detail = why or "not healthy within its probation"
            self._change(state, lambda now: states.roll_back(now, detail, blamed))
            self._log.error("settings_rolled_back", hash=state.candidate, detail=why)

    def _change(
        self, observed: SettingsState, step: Callable[[SettingsState], SettingsState]
    ) -> None:
        """Write what ``step`` makes of the state, if the observed candidate is on probation."""
        with self._folder.locked() as state:
            if state.phase is SettingsPhase.PROBATION and state.candidate == observed.candidate:
                self._folder.write_state(step(state))

    def _unhealthy(self, daemon: Daemon, state: SettingsState) -> str:
        """Return what is worse than before the candidate; empty if nothing is."""
        problems = daemon.supervisor.problems
        new = [
            name for name in problems if name.startswith(EQUIPMENT) and name not in state.baseline
        ]
        status = self._capture.status()
        moved, self._frames = status.frames != self._frames, status.frames
        if new:
            return f"{new[0]}: {problems[new[0]]}"
        streams = status.state is CaptureState.STREAMING and moved
        if "camera" not in state.baseline and not streams:
            return f"camera: {status.state}: no frames"
        return ""
