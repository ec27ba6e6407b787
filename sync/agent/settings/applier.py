"""Pushed settings, once read: checked, tried and staged; and the broker's side of their probation.

What a document may do is decided by its signature and by ``edge.settings`` alone. Every step is on disk before
it is taken. A document or a plan that failed is denied by its hash, so that a retained message cannot loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edge.config import MqttSection, Profile
from edge.config.merge_patch import Tree, merge_all
from edge.documents.settings import DeviceScope, reread_settings
from edge.settings import state_machine as states
from edge.settings.effective import LINK, effective, pushable_part
from edge.settings.folder import SettingsFolder
from edge.settings.plan import Plan, PlanLayer, blamed, layer_of, next_plan
from edge.settings.state_machine import (
    MOST_TRIALS,
    SettingsPhase,
    SettingsProblem,
    SettingsState,
    settled,
)
from edge.system.durable_file import digest_of
from edge.token.signed_document import Keyring
from edge.values.instant import Instant
from sync.agent.enrolment.revocation import RevocationHandler
from sync.agent.settings.intake import SettingsIntake
from sync.agent.settings.probation import EndpointProbation
from sync.wire.settings_report import ReportedError, ReportedRefusal, SettingsReport

TryLink = Callable[
    [MqttSection], str | None
]  # connect as these settings say; None, or why it did not go


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsReportFacts:
    """What the report says of the device beside its settings."""

    kind: str
    software: str
    certificate_expires_s: int | None = None


class SettingsApplier:
    """One device's, in its sync process."""

    def __init__(
        self,
        folder: SettingsFolder,
        shipped: Tree,
        *,
        me: DeviceScope,
        facts: SettingsReportFacts,
        running: str | None,  # the plan that this process runs on
        keys: Callable[[], Keyring],
        try_link: TryLink,
        log: Any,  # a structlog logger
        leaver: RevocationHandler | None = None,
    ) -> None:
        self._folder = folder
        self._shipped = shipped
        self._me = me
        self._facts = facts
        self._running = running
        self._try_link = try_link
        self._log = log
        self._inbox = SettingsIntake(folder, me=me, keys=keys, log=log, leaver=leaver)
        self._looked_at: SettingsState | None = None
        self._dirty = True
        self._trial = EndpointProbation()
        self._reported: bytes | None = None
        self._written: tuple[SettingsState, int, str | None] | None = (
            None  # what the last report was made of
        )
        self._report_now = b""
        self._leaver = leaver

    def take(self, payload: bytes, now: Instant) -> None:
        """Take what came on a ``dn/cfg`` topic: a CBOR array of signed documents. Raises OSError for the disk."""
        self._inbox.take(payload, now)

    def step(self, *, connected: bool, now: Instant, monotonic_s: float) -> None:
        """Do what is due. Raises OSError for the disk."""
        state = self._folder.state()
        if state.phase.on_trial:
            self._watch_trial(state, connected=connected, monotonic_s=monotonic_s)
            return
        self._inbox.retry(now, monotonic_s)
        if self._dirty or self._inbox.has_news or state != self._looked_at:
            self._dirty = self._inbox.has_news = False
            self._reconcile(connected=connected)
            self._looked_at = self._folder.state()

    @property
    def wants_restart(self) -> bool:
        """Whether this process runs on other broker settings than it should."""
        choice = self._folder.state().choice
        if choice == self._running:
            return False
        if self._mqtt_of(choice) != self._mqtt_of(self._running):
            return True
        self._running = choice  # nothing in it concerns the broker
        return False

    @property
    def _blocked(self) -> str | None:
        return None if self._leaver is None else self._leaver.blocked

    def report(self) -> bytes | None:
        """What to publish, retained, when it is news; ``reported`` follows once it is under way."""
        made_of = (self._folder.state(), self._inbox.refusals, self._blocked)
        if made_of != self._written:
            self._written, self._report_now = made_of, self._report().model_dump_json().encode()
        return None if self._report_now == self._reported else self._report_now

    def reported(self, encoded: bytes | None) -> None:
        """``encoded`` was published; None: say it again (a new connection)."""
        self._reported = encoded

    # From documents to a staged plan

    def _reconcile(self, *, connected: bool) -> None:
        """Bring what the documents say to where it can be applied. Level-triggered: a kill anywhere only delays it."""
        with self._folder.locked() as state:
            plan = self._plan(state)
            self._restore(plan, state)
            if (
                state.phase.on_trial
                or not plan.layers
                or plan.digest in (state.good, *state.denied)
            ):
                return
            if state.phase is SettingsPhase.STAGED and state.candidate == plan.digest:
                return
            before = settled(state)
            self._folder.keep(states.begin(state, SettingsPhase.VALIDATED, working=plan.digest))
            profile = effective(self._shipped, plan.patches)
            if not isinstance(profile, Profile):
                self._refuse(
                    before, [SettingsProblem(error.path, error.message) for error in profile], plan
                )
                return
        if self._cuts_link(state, profile) and not connected:
            with self._folder.locked():
                self._folder.keep(before)
            self._dirty = (
                True  # with the present broker away, a trial of another would prove nothing
            )
            return
        if wrong := self._try(state, plan, profile):
            with self._folder.locked() as now_state:
                self._refuse(settled(now_state), [wrong], plan)
            return
        with self._folder.locked() as now_state:
            staged = states.stage(settled(now_state), plan.digest, plan.rev)
            self._folder.keep_plan(plan)
            self._folder.keep(staged)
            self._folder.forget_plans({staged.good, staged.candidate, self._running})
        self._log.info("settings_staged", rev=plan.rev, hash=plan.digest)

    def _restore(self, plan: Plan, state: SettingsState) -> None:
        """The file of what is good was damaged: the documents that it was made of are still here."""
        if plan.digest == state.good and self._folder.plan(state.good) is None:
            self._folder.keep_plan(plan)
            self._running = self._written = None  # this process began as shipped, and reports anew
            self._log.info("settings_restored", rev=plan.rev, hash=plan.digest)

    def _plan(self, state: SettingsState) -> Plan:
        kept = self._folder.plan(state.good) or Plan(())
        good = Plan(tuple(layer for layer in kept.layers if layer.key in self._me.keys))
        return next_plan(good, self._newest(), self._me.groups, state.denied)

    def _newest(self) -> list[PlanLayer]:
        """The newest document of each layer, whatever became of it."""
        raws = list(self._folder.documents().values())
        pairs = [(reread_settings(raw), digest_of(raw)) for raw in raws]
        return [
            layer_of(document, digest)
            for document, digest in pairs
            if document and self._me.is_meant(document)
        ]

    def _refuse(self, before: SettingsState, wrong: list[SettingsProblem], plan: Plan) -> None:
        self._folder.keep(
            states.refuse(
                before, wrong, denied=blamed(plan, self._folder.plan(before.good)), desired=plan.rev
            )
        )
        self._log.warning(
            "settings_invalid",
            rev=plan.rev,
            errors=[f"{each.path}: {each.message}" for each in wrong],
        )

    def _try(self, state: SettingsState, plan: Plan, profile: Profile) -> SettingsProblem | None:
        """Settings that could cut the broker link are tried before anything else runs on them."""
        if profile.mqtt is None or not self._cuts_link(state, profile):
            return None
        with self._folder.locked() as now_state:
            begun = states.begin(state, SettingsPhase.TESTING_LINK, working=plan.digest)
            if begun.trials > MOST_TRIALS:
                return SettingsProblem(
                    "mqtt", f"trying this broker ended the process {MOST_TRIALS} times"
                )
            self._folder.keep(replace(begun, denied=now_state.denied, seen=now_state.seen))
        why = self._try_link(profile.mqtt)
        return (
            None
            if why is None
            else SettingsProblem("mqtt.host", f"this broker cannot be used: {why}")
        )

    def _cuts_link(self, state: SettingsState, profile: Profile) -> bool:
        return profile.mqtt is not None and _differs(profile.mqtt, self._mqtt_of(state.good))

    def _mqtt_of(self, digest: str | None) -> MqttSection | None:
        """The broker of a plan; of the shipped profile where the plan cannot be used, as load_running has it."""
        plan = self._folder.plan(digest)
        profile = effective(self._shipped, plan.patches if plan else ())
        if not isinstance(profile, Profile):
            profile = effective(self._shipped, ())
        return profile.mqtt if isinstance(profile, Profile) else None

    # Probation

    def _watch_trial(self, state: SettingsState, *, connected: bool, monotonic_s: float) -> None:
        plan = self._folder.plan(state.candidate)
        probation_s = plan.probation_s if plan else 1
        proved = self._trial.turn(
            state.candidate,
            healthy=connected and not self.wants_restart,
            probation_s=probation_s,
            now_s=monotonic_s,
        )
        if proved and state.phase is SettingsPhase.PROBATION and "sync" not in state.proven:
            with self._folder.locked() as now_state:
                if now_state.candidate == state.candidate:
                    self._folder.keep(states.prove(now_state, "sync"))
        elif self._trial.overdue(probation_s, monotonic_s):
            with self._folder.locked() as now_state:
                if now_state.phase.on_trial and now_state.candidate == state.candidate:
                    named = self._folder.blamed()
                    missing = ", ".join(sorted(states.PROVERS - set(now_state.proven)))
                    self._folder.keep(
                        states.roll_back(
                            now_state, f"not healthy within its probation: {missing}", named
                        )
                    )

    # Reporting

    def _unusable(self, digest: str | None, plan: Plan | None) -> tuple[SettingsProblem, ...]:
        """Why the device runs as shipped although it has committed ``digest``."""
        if digest is None:
            return ()
        if plan is None:
            return (SettingsProblem("", "the settings' file is gone or damaged: push them again"),)
        profile = effective(self._shipped, plan.patches)
        return (
            ()
            if isinstance(profile, Profile)
            else tuple(SettingsProblem(each.path, each.message) for each in profile)
        )

    def _report(self) -> SettingsReport:
        state = self._folder.state()
        good = self._folder.plan(state.good)
        wanted = Plan(tuple(self._newest()))
        wrong = state.wrong or self._unusable(state.good, good)
        return SettingsReport(
            dev=self._me.device,
            state=str(state.phase),
            desired_rev=wanted.rev,
            applied_rev=good.rev if good else 0,
            desired=wanted.revs,
            applied=good.revs if good else {},
            hash=state.choice or "",
            errors=[
                ReportedError(path=each.path, message=each.message[:300]) for each in wrong[:20]
            ],
            refused=[
                ReportedRefusal(hash=digest, code=str(refusal.fault), detail=refusal.detail[:300])
                for digest, refusal in list(self._inbox.refused.items())[-4:]
            ],
            site=self._me.site,
            groups=list(self._me.groups),
            kind=self._facts.kind,
            software=self._facts.software,
            certificate_expires_s=self._facts.certificate_expires_s,
            blocked=self._blocked,
            shipped=pushable_part(merge_all(self._shipped, ())),
        )


def _differs(mqtt: MqttSection, running: MqttSection | None) -> bool:
    return running is None or any(getattr(mqtt, name) != getattr(running, name) for name in LINK)
