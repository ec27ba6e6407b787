"""Pushed settings on their way in: read, checked, tried and staged; and the broker's side of their probation.

What a document may do is decided by its signature and by ``edge.settings`` alone. Every step is on disk before
it is taken. A document or a plan that failed is denied by its hash, so that a retained message cannot loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from edge.config import Mqtt, Profile
from edge.instant import Instant
from edge.settings import state as states
from edge.settings.document import (
    Me,
    SettingsDocument,
    SettingsFault,
    SettingsRefusal,
    open_settings,
    reread_settings,
)
from edge.settings.folder import SettingsFolder, digest_of
from edge.settings.merge import LINK, Tree, effective, merge_all, pushable_part
from edge.settings.plan import Plan, PlanLayer, blamed, layer_of, next_plan
from edge.settings.state import MOST_TRIALS, Phase, State, Wrong
from edge.token import cbor
from edge.token.document import DocumentFault, Keyring
from edge.token.rejection import Refused
from sync.config_wire import ConfigReport, ReportedError, ReportedRefusal
from sync.revocation import Leaver
from sync.trial import Trial
from sync.wire import Fault

MOST_DOCUMENTS: Final = 16  # in one message
RETRY_S: Final = 5.0  # documents that wait for a key or for their time are looked at again
_MAY_COME_RIGHT: Final = {DocumentFault.KEY_UNKNOWN, DocumentFault.KEY_WINDOW, SettingsFault.TOO_EARLY}

TryLink = Callable[[Mqtt], str | None]  # connect as these settings say; None, or why it did not go


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the report says of the device beside its settings."""

    kind: str
    software: str
    certificate_expires_s: int | None = None


class SettingsDesk:
    """One device's, in its sync process."""

    def __init__(
        self,
        folder: SettingsFolder,
        shipped: Tree,
        *,
        me: Me,
        facts: Facts,
        running: str | None,  # the plan that this process runs on
        keys: Callable[[], Keyring],
        try_link: TryLink,
        log: Any,  # a structlog logger
        leaver: Leaver | None = None,
    ) -> None:
        self._folder = folder
        self._shipped = shipped
        self._me = me
        self._facts = facts
        self._running = running
        self._keys = keys
        self._try_link = try_link
        self._log = log
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._refused: OrderedDict[str, SettingsRefusal] = OrderedDict()
        self._refusals = 0
        self._retry_due_s = 0.0
        self._looked_at: State | None = None
        self._dirty = True
        self._trial = Trial()
        self._reported: bytes | None = None
        self._written: tuple[State, int, str | None] | None = None  # what the last report was made of
        self._report_now = b""
        self._leaver = leaver

    def take(self, payload: bytes, now: Instant) -> None:
        """Take what came on a ``dn/cfg`` topic: a CBOR array of signed documents. Raises OSError for the disk."""
        try:
            items = cbor.decode(payload, cbor.DOCUMENT_LIMITS)
        except Refused as refused:
            self._log.warning("message_refused", reason=str(Fault.NOT_CBOR), detail=str(refused))
            return
        if not isinstance(items, list) or len(items) > MOST_DOCUMENTS or not all(type(item) is bytes for item in items):
            detail = f"settings come as an array of at most {MOST_DOCUMENTS} byte strings"
            self._log.warning("message_refused", reason=str(Fault.WRONG_SHAPE), detail=detail)
            return
        for raw in items:
            self._offer(raw, now)

    def step(self, *, connected: bool, now: Instant, monotonic_s: float) -> None:
        """Do what is due. Raises OSError for the disk."""
        state = self._folder.state()
        if state.phase.on_trial:
            self._watch_trial(state, connected=connected, monotonic_s=monotonic_s)
            return
        if self._waiting and monotonic_s >= self._retry_due_s:
            self._retry_due_s = monotonic_s + RETRY_S
            waiting, self._waiting = self._waiting, OrderedDict()
            for raw in waiting.values():
                self._offer(raw, now)
        if self._dirty or state != self._looked_at:
            self._dirty = False
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
        made_of = (self._folder.state(), self._refusals, self._blocked)
        if made_of != self._written:
            self._written, self._report_now = made_of, self._report().model_dump_json().encode()
        return None if self._report_now == self._reported else self._report_now

    def reported(self, encoded: bytes | None) -> None:
        """``encoded`` was published; None: say it again (a new connection)."""
        self._reported = encoded

    # Reading

    def _offer(self, raw: bytes, now: Instant) -> None:
        if self._leaver is not None and self._leaver(raw, now):
            return
        digest = digest_of(raw)
        with self._folder.locked() as state:
            if state.has_denied(digest) or digest in self._refused or _is_seen(state, digest):
                return
            if state.phase.on_trial:
                self._wait(digest, raw)  # one at a time
                return
            before = _settled(state)
            begun = states.begin(state, Phase.RECEIVED, working=digest)
            if begun.trials > MOST_TRIALS:
                wrong = Wrong("", f"{SettingsFault.POISON}: reading it ended the process {MOST_TRIALS} times")
                self._folder.keep(states.refuse(before, [wrong], denied=[digest]))
                return
            self._folder.keep(begun)
            outcome = self._read(raw, digest, now)
            if isinstance(outcome, SettingsRefusal):
                self._folder.keep(before)
                self._note_refusal(outcome, digest, raw)
                return
            self._folder.keep(replace(begun, phase=Phase.VERIFIED))
            self._folder.keep_document(outcome.key, raw)
            seen = {**(state.seen or {}), outcome.key: (outcome.rev, digest)}
            phase = before.phase if before.phase is Phase.STAGED else _resting(before)
            self._folder.keep(replace(before, phase=phase, wrong=(), seen=seen))
            self._dirty = True
        self._log.info("settings_received", layer=outcome.key, rev=outcome.rev, hash=digest)

    def _read(self, raw: bytes, digest: str, now: Instant) -> SettingsDocument | SettingsRefusal:
        document = open_settings(raw, self._keys(), now=now, me=self._me)
        if isinstance(document, SettingsRefusal):
            return document
        rev, kept = self._highest(document.key)
        if document.rev < rev:
            return SettingsRefusal(SettingsFault.ROLLBACK, f"{document.key} rev {document.rev}, {rev} was seen")
        if document.rev == rev and kept != digest:
            return SettingsRefusal(SettingsFault.EQUIVOCATION, f"{document.key} rev {rev} was seen with other content")
        return document

    def _highest(self, key: str) -> tuple[int, str]:
        """The highest rev seen of a layer, by the state and, should that be lost, by the document itself."""
        seen = (self._folder.state().seen or {}).get(key, (0, ""))
        raw = self._folder.documents().get(key)
        document = reread_settings(raw) if raw is not None else None
        return seen if raw is None or document is None else max(seen, (document.rev, digest_of(raw)))

    def _wait(self, digest: str, raw: bytes) -> None:
        self._waiting[digest] = raw
        while len(self._waiting) > MOST_DOCUMENTS:
            self._waiting.popitem(last=False)

    def _note_refusal(self, refusal: SettingsRefusal, digest: str, raw: bytes) -> None:
        if refusal.fault in _MAY_COME_RIGHT:
            self._wait(digest, raw)
            return
        self._refused[digest] = refusal
        self._refusals += 1
        while len(self._refused) > MOST_DOCUMENTS:
            self._refused.popitem(last=False)
        alarm = refusal.fault is SettingsFault.EQUIVOCATION
        note = self._log.error if alarm else self._log.warning
        note("security_alarm" if alarm else "settings_refused", reason=str(refusal.fault), detail=refusal.detail)

    # From documents to a staged plan

    def _reconcile(self, *, connected: bool) -> None:
        """Bring what the documents say to where it can be applied. Level-triggered: a kill anywhere only delays it."""
        with self._folder.locked() as state:
            plan = self._plan(state)
            if state.phase.on_trial or not plan.layers or plan.digest in (state.good, *state.denied):
                return
            if state.phase is Phase.STAGED and state.candidate == plan.digest:
                return
            before = _settled(state)
            self._folder.keep(states.begin(state, Phase.VALIDATED, working=plan.digest))
            profile = effective(self._shipped, plan.patches)
            if not isinstance(profile, Profile):
                self._refuse(before, [Wrong(error.path, error.message) for error in profile], plan)
                return
        if self._cuts_link(state, profile) and not connected:
            with self._folder.locked():
                self._folder.keep(before)
            self._dirty = True  # with the present broker away, a trial of another would prove nothing
            return
        if wrong := self._try(state, plan, profile):
            with self._folder.locked() as now_state:
                self._refuse(_settled(now_state), [wrong], plan)
            return
        with self._folder.locked() as now_state:
            self._folder.keep_plan(plan)
            self._folder.keep(states.stage(_settled(now_state), plan.digest, plan.rev))
        self._log.info("settings_staged", rev=plan.rev, hash=plan.digest)

    def _plan(self, state: State) -> Plan:
        kept = self._folder.plan(state.good) or Plan(())
        good = Plan(tuple(layer for layer in kept.layers if layer.key in self._me.keys))
        return next_plan(good, self._newest(), self._me.groups, state.denied)

    def _newest(self) -> list[PlanLayer]:
        """The newest document of each layer, whatever became of it."""
        raws = list(self._folder.documents().values())
        pairs = [(reread_settings(raw), digest_of(raw)) for raw in raws]
        return [layer_of(document, digest) for document, digest in pairs if document and self._me.is_meant(document)]

    def _refuse(self, before: State, wrong: list[Wrong], plan: Plan) -> None:
        self._folder.keep(
            states.refuse(before, wrong, denied=blamed(plan, self._folder.plan(before.good)), desired=plan.rev)
        )
        self._log.warning("settings_invalid", rev=plan.rev, errors=[f"{each.path}: {each.message}" for each in wrong])

    def _try(self, state: State, plan: Plan, profile: Profile) -> Wrong | None:
        """Settings that could cut the broker link are tried before anything else runs on them."""
        if profile.mqtt is None or not self._cuts_link(state, profile):
            return None
        with self._folder.locked() as now_state:
            begun = states.begin(state, Phase.TRYING_LINK, working=plan.digest)
            if begun.trials > MOST_TRIALS:
                return Wrong("mqtt", f"trying this broker ended the process {MOST_TRIALS} times")
            self._folder.keep(replace(begun, denied=now_state.denied, seen=now_state.seen))
        why = self._try_link(profile.mqtt)
        return None if why is None else Wrong("mqtt.host", f"this broker cannot be used: {why}")

    def _cuts_link(self, state: State, profile: Profile) -> bool:
        return profile.mqtt is not None and _differs(profile.mqtt, self._mqtt_of(state.good))

    def _mqtt_of(self, digest: str | None) -> Mqtt | None:
        plan = self._folder.plan(digest)
        profile = effective(self._shipped, plan.patches if plan else ())
        return profile.mqtt if isinstance(profile, Profile) else None

    # Probation

    def _watch_trial(self, state: State, *, connected: bool, monotonic_s: float) -> None:
        plan = self._folder.plan(state.candidate)
        probation_s = plan.probation_s if plan else 1
        proved = self._trial.turn(
            state.candidate, healthy=connected and not self.wants_restart, probation_s=probation_s, now_s=monotonic_s
        )
        if proved and state.phase is Phase.PROBATION and "sync" not in state.proven:
            with self._folder.locked() as now_state:
                if now_state.candidate == state.candidate:
                    self._folder.keep(states.prove(now_state, "sync"))
        elif self._trial.overdue(probation_s, monotonic_s):
            with self._folder.locked() as now_state:
                if now_state.phase.on_trial and now_state.candidate == state.candidate:
                    named = self._folder.blamed()
                    missing = ", ".join(sorted(states.PROVERS - set(now_state.proven)))
                    self._folder.keep(
                        states.roll_back(now_state, f"not healthy within its probation: {missing}", named)
                    )

    # Reporting

    def _report(self) -> ConfigReport:
        state = self._folder.state()
        good = self._folder.plan(state.good)
        wanted = Plan(tuple(self._newest()))
        return ConfigReport(
            dev=self._me.device,
            state=str(state.phase),
            desired_rev=wanted.rev,
            applied_rev=good.rev if good else 0,
            desired=wanted.revs,
            applied=good.revs if good else {},
            hash=state.choice or "",
            errors=[ReportedError(path=wrong.path, message=wrong.message[:300]) for wrong in state.wrong[:20]],
            refused=[
                ReportedRefusal(hash=digest, code=str(refusal.fault), detail=refusal.detail[:300])
                for digest, refusal in list(self._refused.items())[-4:]
            ],
            site=self._me.site,
            groups=list(self._me.groups),
            kind=self._facts.kind,
            software=self._facts.software,
            certificate_expires_s=self._facts.certificate_expires_s,
            blocked=self._blocked,
            shipped=pushable_part(merge_all(self._shipped, ())),
        )


def _settled(state: State) -> State:
    """The last settled state: what the candidate's reading interrupted."""
    if state.phase in (Phase.RECEIVED, Phase.VERIFIED, Phase.VALIDATED, Phase.TRYING_LINK):
        phase = Phase.STAGED if state.candidate else _resting(state)
        return replace(state, phase=phase, working="", trials=0)
    return state


def _resting(state: State) -> Phase:
    return Phase.COMMITTED if state.good else Phase.SHIPPED


def _is_seen(state: State, digest: str) -> bool:
    return any(kept == digest for _, kept in (state.seen or {}).values())


def _differs(mqtt: Mqtt, running: Mqtt | None) -> bool:
    return running is None or any(getattr(mqtt, name) != getattr(running, name) for name in LINK)
