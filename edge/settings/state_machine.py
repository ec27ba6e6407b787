"""The states of new settings, and what may follow on what. Pure.

``received -> verified -> validated -> testing_link -> staged -> applying -> probation ->
committed``, and from any of them ``refused`` or ``rolled_back``. The state is on disk *before* the
step that it names is taken, so a process that dies in a step finds on its next start which step it
was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

MOST_TRIALS: Final = (
    2  # starts in one step: one death may be a power cut, two are due to the candidate
)
MOST_DENIED: Final = 64
PROVERS: Final = frozenset({"scanner", "sync"})


class SettingsPhase(StrEnum):
    """The step that is being taken, or what became of the candidate."""

    SHIPPED = "shipped"  # nothing was ever pushed
    RECEIVED = "received"
    VERIFIED = "verified"
    VALIDATED = "validated"
    TESTING_LINK = "testing_link"
    STAGED = "staged"
    APPLYING = "applying"
    PROBATION = "probation"
    COMMITTED = "committed"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"

    @property
    def on_trial(self) -> bool:
        """Return whether the device runs on the candidate, to find out whether it is healthy."""
        return self in (SettingsPhase.APPLYING, SettingsPhase.PROBATION)


@dataclass(frozen=True, slots=True)
class SettingsProblem:
    """One thing wrong with a candidate: ``path`` of the setting, or empty, and what to do."""

    path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsState:
    """The whole state. Hashes are those of plans; ``good`` None: as shipped."""

    phase: SettingsPhase = SettingsPhase.SHIPPED
    candidate: str | None = None
    good: str | None = None
    denied: tuple[str, ...] = ()  # plans and documents that failed: never tried again
    trials: int = 0  # starts within the present step
    working: str = ""  # SHA-256 of the document being read
    starts: tuple[str, ...] = ()  # who has started on the candidate, as often as it did
    baseline: tuple[str, ...] = ()  # problems that stood before the candidate: not its fault
    proven: tuple[str, ...] = ()  # who has found the device healthy on the candidate
    wrong: tuple[SettingsProblem, ...] = ()
    # layer key -> (highest rev, SHA-256 of its document)
    seen: dict[str, tuple[int, str]] | None = None
    desired: int = 0  # the highest rev of the candidate, or of the last one
    applied: int = 0  # of what is good

    @property
    def choice(self) -> str | None:
        """Return the hash of the plan to run on now; None: as shipped."""
        return self.candidate if self.phase.on_trial else self.good

    def has_denied(self, digest: str) -> bool:
        """Return whether ``digest`` failed before."""
        return digest in self.denied

    def to_item(self) -> dict[str, Any]:
        """Return the state as JSON holds it."""
        return asdict(self)


def from_item(item: Any) -> SettingsState:
    """Return the state that ``to_item`` gave. Raises ValueError, TypeError or KeyError."""
    if not isinstance(item, dict) or not isinstance(item.get("seen") or {}, dict):
        raise TypeError("not a state")
    wrong = tuple(
        SettingsProblem(str(each["path"]), str(each["message"])) for each in item.get("wrong", ())
    )
    seen = {
        str(key): (int(rev), str(digest)) for key, (rev, digest) in (item.get("seen") or {}).items()
    }
    known = {**item, "phase": SettingsPhase(item["phase"]), "wrong": wrong, "seen": seen}
    known |= {
        name: tuple(item.get(name, ())) for name in ("denied", "starts", "baseline", "proven")
    }
    return SettingsState(**known)


def begin(state: SettingsState, phase: SettingsPhase, *, working: str = "") -> SettingsState:
    """Enter ``phase``; entering the same one for the same thing again counts a trial."""
    again = state.phase is phase and state.working == working
    return replace(state, phase=phase, working=working, trials=state.trials + 1 if again else 1)


def before_interruption(state: SettingsState) -> SettingsState:
    """Return the state that reading or trying a candidate interrupted."""
    if state.phase in (
        SettingsPhase.RECEIVED,
        SettingsPhase.VERIFIED,
        SettingsPhase.VALIDATED,
        SettingsPhase.TESTING_LINK,
    ):
        phase = SettingsPhase.STAGED if state.candidate else resting(state)
        return replace(state, phase=phase, working="", trials=0)
    return state


def resting(state: SettingsState) -> SettingsPhase:
    """Return the phase of a device that has no candidate."""
    return SettingsPhase.COMMITTED if state.good else SettingsPhase.SHIPPED


def refuse(
    state: SettingsState,
    wrong: Iterable[SettingsProblem],
    *,
    denied: Iterable[str] = (),
    desired: int | None = None,
) -> SettingsState:
    """Refuse a candidate; what is good stays. ``denied`` is never tried again."""
    return replace(
        state,
        phase=SettingsPhase.REFUSED,
        candidate=None,
        denied=_deny(state, denied),
        trials=0,
        working="",
        starts=(),
        proven=(),
        wrong=tuple(wrong),
        desired=state.desired if desired is None else desired,
    )


def stage(state: SettingsState, digest: str, desired: int) -> SettingsState:
    """Stage a candidate whose plan is on disk."""
    cleared = replace(state, trials=0, working="", starts=(), proven=(), wrong=())
    return replace(cleared, phase=SettingsPhase.STAGED, candidate=digest, desired=desired)


def apply(state: SettingsState, baseline: Iterable[str]) -> SettingsState:
    """Let the scanner run on the candidate; ``baseline`` are the problems that stand without it."""
    return replace(
        state,
        phase=SettingsPhase.APPLYING,
        starts=("scanner",),
        proven=(),
        baseline=tuple(sorted(baseline)),
    )


def start(state: SettingsState, who: str, denied: Iterable[str] = ()) -> SettingsState:
    """Count a start of ``who`` on a candidate on trial.

    A process that started too often without proving the candidate rolls it back.
    """
    if not state.phase.on_trial or who in state.proven:
        return state
    if state.starts.count(who) >= MOST_TRIALS:
        return roll_back(state, f"the {who} died on it {MOST_TRIALS} times", denied)
    return replace(state, starts=(*state.starts, who))


def stop(state: SettingsState, who: str) -> SettingsState:
    """Take back the start of ``who``, which was asked to end: it does not count."""
    if who not in state.starts:
        return state
    starts = list(state.starts)
    starts.remove(who)
    return replace(state, starts=tuple(starts))


def roll_back(state: SettingsState, why: str, denied: Iterable[str] = ()) -> SettingsState:
    """Return to what was good. The candidate, and what else is ``denied``, is never tried again."""
    wrong = (*state.wrong, SettingsProblem("", why))
    named = [state.candidate] if state.candidate else []
    cleared = replace(state, candidate=None, trials=0, starts=(), proven=())
    return replace(
        cleared,
        phase=SettingsPhase.ROLLED_BACK,
        denied=_deny(state, [*named, *denied]),
        wrong=wrong,
    )


def prove(state: SettingsState, who: str) -> SettingsState:
    """Note that ``who`` found the device healthy for the probation; both provers commit it."""
    proven = tuple(sorted({*state.proven, who}))
    if state.phase is not SettingsPhase.PROBATION or not set(proven) >= PROVERS:
        return replace(state, proven=proven)
    return replace(
        state,
        phase=SettingsPhase.COMMITTED,
        good=state.candidate,
        candidate=None,
        trials=0,
        starts=(),
        proven=(),
        wrong=(),
        applied=state.desired,
    )


def _deny(state: SettingsState, denied: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*state.denied, *denied]))[-MOST_DENIED:]
