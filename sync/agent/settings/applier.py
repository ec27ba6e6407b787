"""Pushed settings, once verified: validated, tried and staged; and the broker's part of probation.

What a document may do is decided by its signature and by ``edge.settings`` alone. Every step is on
disk before it is taken. A document or a plan that failed is denied by its hash, so that a retained
message cannot loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from structlog.typing import FilteringBoundLogger

from edge.config import ConfigError, MqttSection, Profile
from edge.config.merge_patch import Tree
from edge.documents.settings import DeviceScope, reread_settings
from edge.settings import state_machine as states
from edge.settings.active_profile import ActiveProfile
from edge.settings.effective import LINK, effective, pushable_part
from edge.settings.folder import SettingsFolder
from edge.settings.plan import Plan, PlanLayer, blamed, layer_of, next_plan
from edge.settings.probation import Probation
from edge.settings.state_machine import (
    MOST_TRIALS,
    SettingsPhase,
    SettingsProblem,
    SettingsState,
    before_interruption,
)
from edge.system.durable_file import digest_of
from edge.values.instant import Instant
from sync.agent.settings.intake import SettingsIntake
from sync.wire.settings_report import (
    LONGEST_TEXT,
    MOST_ERRORS,
    MOST_REFUSED,
    ReportedError,
    ReportedRefusal,
    SettingsReport,
)

WHO: Final = "sync"
AS_SHIPPED: Final = Plan(())
_MOST_EVALUATED: Final = 8  # plans and documents whose content is remembered

# Connect as these settings say. None, or why the broker did not accept the connection.
TryLink = Callable[[MqttSection], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsReportFacts:
    """What the report says of the device beside its settings."""

    kind: str
    software: str
    certificate_expires_s: int | None = None


class SettingsApplier:
    """The settings of one device, in its sync process."""

    def __init__(
        self,
        folder: SettingsFolder,
        running: ActiveProfile,
        intake: SettingsIntake,
        *,
        scope: DeviceScope,
        facts: SettingsReportFacts,
        try_link: TryLink,
        log: FilteringBoundLogger,
        blocked: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Apply settings to a process that runs on ``running``.

        ``blocked`` returns why the device is blocked, for the report.
        """
        self._folder = folder
        self._baseline: Tree = running.baseline
        self._intake = intake
        self._scope = scope
        self._facts = facts
        self._try_link = try_link
        self._log = log
        self._blocked = blocked
        self._running = running.digest
        in_use = running.digest or AS_SHIPPED.digest
        self._evaluated: dict[str, Profile | list[ConfigError]] = {in_use: running.profile}
        self._reread = lru_cache(maxsize=_MOST_EVALUATED)(reread_settings)
        self._handled: SettingsState | None = None  # the state after the last reconciliation
        self._dirty = True
        self._probation: Probation | None = None
        self._reported: bytes | None = None
        self._report_inputs: tuple[SettingsState, int, str | None] | None = None
        self._report_now = b""

    def receive(self, raw: bytes, now: Instant) -> None:
        """Receive a signed document from a ``dn/cfg`` topic. Raises OSError for the disk."""
        self._intake.receive(raw, now)

    def step(self, *, connected: bool, now: Instant, monotonic_s: float) -> None:
        """Do what is due. Raises OSError for the disk."""
        state = self._folder.state()
        if state.phase.on_trial:
            self._observe(state, connected=connected, monotonic_s=monotonic_s)
            return
        self._intake.retry(now, monotonic_s)
        if self._dirty or self._intake.has_news or state != self._handled:
            self._dirty = self._intake.has_news = False
            self._reconcile(connected=connected)
            self._handled = self._folder.last_state

    @property
    def wants_restart(self) -> bool:
        """Return whether this process runs on other broker settings than it should."""
        choice = self._folder.last_state.choice
        if choice == self._running:
            return False
        if self._mqtt_of(choice) != self._mqtt_of(self._running):
            return True
        self._running = choice  # nothing in it concerns the broker
        return False

    def report(self) -> bytes | None:
        """Return what to publish, retained; None where the last report still holds.

        ``note_reported`` follows once it is on its way.
        """
        inputs = (self._folder.last_state, self._intake.refused.count, self._blocked())
        if inputs != self._report_inputs:
            self._report_inputs = inputs
            self._report_now = self._make_report().model_dump_json().encode()
        return None if self._report_now == self._reported else self._report_now

    def note_reported(self, encoded: bytes | None) -> None:
        """Note that ``encoded`` was published; None: report again (a new connection)."""
        self._reported = encoded

    # From documents to a staged plan

    def _reconcile(self, *, connected: bool) -> None:
        """Bring what the documents say to where the scanner can apply it.

        Only the present documents and state count, so a kill at any point only delays it.
        """
        with self._folder.locked() as state:
            plan = self._plan(state)
            self._restore(plan, state)
            if not self._is_new(plan, state):
                return
            before = before_interruption(state)
            begun = states.begin(state, SettingsPhase.VALIDATED, working=plan.digest)
            self._folder.write_state(begun)
            profile = self._evaluate(plan)
            if not isinstance(profile, Profile):
                self._refuse(before, [SettingsProblem(e.path, e.message) for e in profile], plan)
                return
        if self._cuts_link(state, profile) and not connected:
            # While the present broker cannot be reached, a trial of another would prove nothing.
            with self._folder.locked():
                self._folder.write_state(before)
            self._dirty = True
            return
        if wrong := self._try(state, plan, profile):
            with self._folder.locked() as now_state:
                self._refuse(before_interruption(now_state), [wrong], plan)
            return
        with self._folder.locked() as now_state:
            staged = states.stage(before_interruption(now_state), plan.digest, plan.rev)
            self._folder.write_plan(plan)
            self._folder.write_state(staged)
            self._folder.forget_plans({staged.good, staged.candidate, self._running})
        self._log.info("settings_staged", rev=plan.rev, hash=plan.digest)

    def _is_new(self, plan: Plan, state: SettingsState) -> bool:
        if state.phase.on_trial or not plan.layers or plan.digest in (state.good, *state.denied):
            return False
        return not (state.phase is SettingsPhase.STAGED and state.candidate == plan.digest)

    def _restore(self, plan: Plan, state: SettingsState) -> None:
        """Write the plan in use again where its file was damaged: its documents are still here."""
        if plan.digest == state.good and self._folder.plan(state.good) is None:
            self._folder.write_plan(plan)
            # This process began as shipped, and reports anew.
            self._running = self._report_inputs = None
            self._log.info("settings_restored", rev=plan.rev, hash=plan.digest)

    def _plan(self, state: SettingsState) -> Plan:
        in_use = self._folder.plan(state.good) or AS_SHIPPED
        good = Plan(tuple(layer for layer in in_use.layers if layer.key in self._scope.keys))
        return next_plan(good, self._newest(), self._scope.groups, state.denied)

    def _newest(self) -> list[PlanLayer]:
        """Return the newest document of each layer, whatever became of it."""
        raws = list(self._folder.documents().values())
        pairs = [(self._reread(raw), digest_of(raw)) for raw in raws]
        return [
            layer_of(document, digest)
            for document, digest in pairs
            if document and self._scope.is_meant(document)
        ]

    def _evaluate(self, plan: Plan) -> Profile | list[ConfigError]:
        """Return the profile under ``plan``, or its errors. Each plan is validated once."""
        digest = plan.digest
        if digest not in self._evaluated:
            while len(self._evaluated) >= _MOST_EVALUATED:
                del self._evaluated[next(iter(self._evaluated))]
            self._evaluated[digest] = effective(self._baseline, plan.patches)
        return self._evaluated[digest]

    def _refuse(self, before: SettingsState, wrong: list[SettingsProblem], plan: Plan) -> None:
        denied = blamed(plan, self._folder.plan(before.good))
        self._folder.write_state(states.refuse(before, wrong, denied=denied, desired=plan.rev))
        errors = [f"{each.path}: {each.message}" for each in wrong]
        self._log.warning("settings_invalid", rev=plan.rev, errors=errors)

    def _try(self, state: SettingsState, plan: Plan, profile: Profile) -> SettingsProblem | None:
        """Try settings that could cut the broker link before anything else runs on them."""
        if profile.mqtt is None or not self._cuts_link(state, profile):
            return None
        with self._folder.locked() as now_state:
            begun = states.begin(state, SettingsPhase.TESTING_LINK, working=plan.digest)
            if begun.trials > MOST_TRIALS:
                detail = f"trying this broker ended the process {MOST_TRIALS} times"
                return SettingsProblem("mqtt", detail)
            self._folder.write_state(replace(begun, denied=now_state.denied, seen=now_state.seen))
        why = self._try_link(profile.mqtt)
        if why is None:
            return None
        return SettingsProblem("mqtt.host", f"this broker cannot be used: {why}")

    def _cuts_link(self, state: SettingsState, profile: Profile) -> bool:
        return profile.mqtt is not None and _differs(profile.mqtt, self._mqtt_of(state.good))

    def _mqtt_of(self, digest: str | None) -> MqttSection | None:
        """Return the broker of a plan; of the baseline where the plan cannot be used."""
        profile = self._evaluate(self._folder.plan(digest) or AS_SHIPPED)
        if not isinstance(profile, Profile):
            profile = self._evaluate(AS_SHIPPED)
        return profile.mqtt if isinstance(profile, Profile) else None

    # Probation

    def _observe(self, state: SettingsState, *, connected: bool, monotonic_s: float) -> None:
        if self._probation is None or self._probation.candidate != state.candidate:
            plan = self._folder.plan(state.candidate)
            duration_s = plan.probation_s if plan else 1
            self._probation = Probation(
                candidate=state.candidate, duration_s=duration_s, began_s=monotonic_s
            )
        healthy = connected and not self.wants_restart
        self._probation = self._probation.observed(healthy=healthy, now_s=monotonic_s)
        passed = self._probation.is_passed(monotonic_s)
        if passed and state.phase is SettingsPhase.PROBATION and WHO not in state.proven:
            self._change(state, lambda now: states.prove(now, WHO))
        elif self._probation.is_overdue(monotonic_s):
            self._change(state, self._rolled_back)

    def _change(
        self, observed: SettingsState, step: Callable[[SettingsState], SettingsState]
    ) -> None:
        """Write what ``step`` makes of the state, if the observed candidate is on trial."""
        with self._folder.locked() as state:
            if state.phase.on_trial and state.candidate == observed.candidate:
                self._folder.write_state(step(state))

    def _rolled_back(self, state: SettingsState) -> SettingsState:
        missing = ", ".join(sorted(states.PROVERS - set(state.proven)))
        why = f"not healthy within its probation: {missing}"
        return states.roll_back(state, why, self._folder.blamed())

    # Reporting

    def _unusable(self, digest: str | None, plan: Plan | None) -> tuple[SettingsProblem, ...]:
        """Return why the device runs as shipped although it has committed ``digest``."""
        if digest is None:
            return ()
        if plan is None:
            return (SettingsProblem("", "the settings' file is gone or damaged: push them again"),)
        profile = self._evaluate(plan)
        if isinstance(profile, Profile):
            return ()
        return tuple(SettingsProblem(each.path, each.message) for each in profile)

    def _make_report(self) -> SettingsReport:
        blocked = self._blocked()
        state = self._folder.state()
        good = self._folder.plan(state.good)
        wanted = Plan(tuple(self._newest()))
        wrong = state.wrong or self._unusable(state.good, good)
        return SettingsReport(
            dev=self._scope.device,
            state=str(state.phase),
            desired_rev=wanted.rev,
            applied_rev=good.rev if good else 0,
            desired=wanted.revs,
            applied=good.revs if good else {},
            hash=state.choice or "",
            errors=[
                ReportedError(path=each.path[:LONGEST_TEXT], message=each.message[:LONGEST_TEXT])
                for each in wrong[:MOST_ERRORS]
            ],
            refused=[
                ReportedRefusal(hash=each.digest, code=each.code, detail=each.detail[:LONGEST_TEXT])
                for each in self._intake.refused.newest(MOST_REFUSED)
            ],
            site=self._scope.site,
            groups=list(self._scope.groups),
            kind=self._facts.kind,
            software=self._facts.software,
            certificate_expires_s=self._facts.certificate_expires_s,
            blocked=None if blocked is None else blocked[:LONGEST_TEXT],
            shipped=pushable_part(self._baseline),
        )


def _differs(mqtt: MqttSection, running: MqttSection | None) -> bool:
    return running is None or any(getattr(mqtt, name) != getattr(running, name) for name in LINK)
