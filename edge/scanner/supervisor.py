"""Supervision of a running scanner: named problems, health file, watchdog, housekeeping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from structlog.typing import FilteringBoundLogger

from edge.capture.capture_status import CaptureState, CaptureStatus
from edge.config import Policy
from edge.domain.verdict import Verdict
from edge.ports import Hint, Signal
from edge.redemption.redeemer import Redemption
from edge.scanner.restore_watch import RESTORE_PENDING, RestoreWatch
from edge.store import retention, scan_journal
from edge.store.database.store import Store, StoreUnavailableError
from edge.store.order_cache import feed_state
from edge.store.outbox import backlog
from edge.store.time_floor import probe, raise_time_floor
from edge.system.disk_space import DISK_FULL, disk_problem
from edge.system.health import Health, write_health
from edge.system.wall_clock import WallClock
from edge.trust.anchors import Anchors
from edge.trust.freshness import ORDERS_STALE, STATUS_STALE, TRUST_LIST_STALE, staleness

_CAMERA_FAULTS: Final = {CaptureState.STALLED, CaptureState.LOST}


class CaptureStatusSource(Protocol):
    """A capture worker as the supervisor sees it."""

    def status(self) -> CaptureStatus:
        """Return the state of the camera."""
        ...


class DecoderCountersSource(Protocol):
    """A decoder as the supervisor sees it."""

    @property
    def counts(self) -> Mapping[str, Any]:
        """Return the counters of each rung, each a dataclass."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedParts:
    """The parts of a scanner that the supervisor watches."""

    capture: CaptureStatusSource
    decoder: DecoderCountersSource
    store: Store | None
    anchors: Anchors | None
    store_is_back: Callable[[], bool] = lambda: False  # called while there is no store
    devices: Callable[[], Mapping[str, str]] = dict  # problem to detail, of parts that come and go
    policy: Policy | None = None  # how old lists and orders may be; None: no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorTimings:
    """Seconds between two rounds of each kind of work."""

    report_every_s: float = 1.0  # the health file and systemd
    restore_patience_s: float = 60.0  # a restore that takes longer is a problem with a name
    maintain_every_s: float = 60.0  # the store: checkpoint and pruning
    retry_store_every_s: float = 5.0  # another try to open it, while there is none
    reopen_store_after_s: float = 60.0  # one that fails for so long may be held by dead descriptors


SUPERVISOR_TIMINGS: Final = SupervisorTimings()


class Supervisor:
    """Watches the camera with each step of the daemon, everything else about once a second."""

    def __init__(
        self,
        *,
        health: Health,
        health_file: Path,
        watched: WatchedParts,
        clock: WallClock,
        log: FilteringBoundLogger,
        notify: Callable[[str], None],
        timings: SupervisorTimings = SUPERVISOR_TIMINGS,
    ) -> None:
        self._health = health
        self._health_file = health_file
        self._capture = watched.capture
        self._decoder = watched.decoder
        self._store = watched.store
        self._anchors = watched.anchors
        self._clock = clock
        self._log = log
        self._notify = notify
        self._store_is_back = watched.store_is_back
        self._devices = watched.devices
        self._policy = watched.policy
        self._timings = timings
        self._restore = RestoreWatch(timings.restore_patience_s)
        self._device_problems: set[str] = set()
        self._camera_notes: tuple[str, ...] = ()
        self._data_version = -1
        self._next_report_s = float("-inf")
        self._next_maintenance_s = clock.monotonic_s() + timings.maintain_every_s
        self._next_retry_s = clock.monotonic_s() + timings.retry_store_every_s
        self._failing_since_s: float | None = None
        self._unfinished: list[tuple[int, float, str]] = []
        self._to_prune: list[retention.Bound] = []  # bounds that this round has not met yet
        self._scans: dict[str, int] = {}
        self._announced = False
        self._advice: Hint | None = None
        self.finished = ""  # why the daemon should end; empty while it should continue
        self.wants_restart = False  # only a new process can help
        self.wants_reopening = False  # another daemon of this process opens the store

    @property
    def problems(self) -> dict[str, str]:
        """Return the present problems, by name."""
        return self._health.problems

    @property
    def resting_signal(self) -> Signal:
        """Return what the lamps show between scans."""
        if self._health.problems:
            return Signal.FAULT
        return Signal.IDLE if self._advice is None else Signal.AIM

    def advise(self, hint: Hint | None) -> None:
        """Show and log why a code in view is not read; None: there is nothing to show."""
        if hint is not None and hint is not self._advice:
            self._log.info("hint", hint=hint.value)
        self._advice = hint

    def note_problem(self, name: str, detail: str | None) -> None:
        """Raise or clear (``detail`` None) a problem that another part has found."""
        self._problem(name, detail)

    def scanned(self, outcome: Redemption, total_ms: float, signal: Signal) -> None:
        """Count a scan; its line in the journal is completed when there is time."""
        self._scans[outcome.reason.value] = self._scans.get(outcome.reason.value, 0) + 1
        if outcome.journal_id is not None:
            self._unfinished.append((outcome.journal_id, total_ms, signal.value))
        if outcome.reason is Verdict.STORE_UNAVAILABLE:
            self._problem("store_unavailable", outcome.detail)

    def tick(self) -> None:
        """Watch once. The daemon calls it with every step, with a frame or without."""
        now_s = self._clock.monotonic_s()
        self._health.beat("decode", now_s)
        status = self._watch_camera(now_s)
        if now_s < self._next_report_s:
            return
        self._next_report_s = now_s + self._timings.report_every_s
        self._watch_devices()
        self._watch_store(now_s)
        self._report(status, now_s)

    def _watch_camera(self, now_s: float) -> CaptureStatus:
        status = self._capture.status()
        moves = status.hanging == 0 or status.state is CaptureState.STREAMING
        if moves:
            self._health.beat("capture", now_s)
        self._problem(
            "camera", f"{status.state}: {status.detail}" if status.state in _CAMERA_FAULTS else None
        )
        if status.notes != self._camera_notes:  # no fault: it scans
            self._camera_notes = status.notes
            self._log.warning("camera_notes", notes=status.notes)
        if status.state is CaptureState.ENDED:
            self.finished = f"no more frames: {status.detail}"
        return status

    def _watch_devices(self) -> None:
        found = self._devices()
        for name in self._device_problems - found.keys():
            self._problem(name, None)
        for name, detail in found.items():
            self._problem(name, detail)
        self._device_problems = set(found)

    def _watch_store(self, now_s: float) -> None:
        self._health.beat(
            "store", now_s
        )  # a full disk, or no store, is a state with a name, not a crash loop
        if self._store is None:
            self._retry_store(now_s)
            return
        self._problem(DISK_FULL, disk_problem(self._store.path.parent).get(DISK_FULL))
        try:
            self._refresh_anchors(self._store)
            self._watch_freshness(self._store)
            self._problem(RESTORE_PENDING, self._restore.watch(self._store, self._clock))
            if "store_unavailable" in self._health.problems:
                probe(self._store)
            self._complete_journal(self._store)
            self._prune(self._store)
            if now_s >= self._next_maintenance_s:
                self._next_maintenance_s = now_s + self._timings.maintain_every_s
                self._maintain(self._store)
        except StoreUnavailableError as error:
            self._note_failing_store(error, now_s)
            return
        self._failing_since_s = None
        self._problem("store_unavailable", None)

    def _note_failing_store(self, error: StoreUnavailableError, now_s: float) -> None:
        self._problem("store_unavailable", str(error))
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        if error.needs_restart:
            self.wants_restart, self.finished = True, f"only a restart can help: {error}"
        elif (
            DISK_FULL not in self._health.problems
            and now_s - self._failing_since_s >= self._timings.reopen_store_after_s
        ):
            self.wants_reopening, self.finished = True, f"the store is opened again: {error}"

    def _retry_store(self, now_s: float) -> None:
        if now_s < self._next_retry_s:
            return
        self._next_retry_s = now_s + self._timings.retry_store_every_s
        if self._store_is_back():
            self.wants_reopening, self.finished = True, "the store can be used again: it is opened"

    def _refresh_anchors(self, store: Store) -> None:
        version = store.data_version()
        if version == self._data_version or self._anchors is None:
            return
        now = self._clock.now()
        found = self._anchors.refresh(now)
        for name in [
            name
            for name in self._health.problems
            if name.startswith(("no_trust", "trust_", "status_"))
        ]:
            if name not in found and name not in (TRUST_LIST_STALE, STATUS_STALE):
                self._problem(name, None)
        for name, detail in found.items():
            self._problem(name, detail)
        self._clock.raise_floor(self._anchors.trust.issued_at_s)
        self._data_version = version

    def _watch_freshness(self, store: Store) -> None:
        """Name lists that are too old. They grow old by themselves, so each report looks."""
        if self._policy is None or self._anchors is None:
            return
        anchors, now = self._anchors, self._clock.now()
        found = staleness(
            anchors.trust,
            anchors.status,
            feed_state(store).last_contact_s,
            policy=self._policy,
            now=now,
        )
        for name in (TRUST_LIST_STALE, STATUS_STALE, ORDERS_STALE):
            self._problem(name, found.get(name))

    def _complete_journal(self, store: Store) -> None:
        if self._unfinished:
            scan_journal.complete(store, self._unfinished)
            self._unfinished = []

    def _maintain(self, store: Store) -> None:
        raise_time_floor(store, self._clock.floor_s())
        self._to_prune = list(retention.BOUNDS)
        store.checkpoint()

    def _prune(self, store: Store) -> None:
        """Prune a little, until every table is within its bounds: a scan never waits for it."""
        if self._to_prune and not retention.prune(store, self._to_prune[0], self._clock.now()):
            del self._to_prune[0]

    def _problem(self, name: str, detail: str | None) -> None:
        """Raise or clear a problem. A change of state is one line in the log."""
        before = self._health.problems.get(name)
        self._health.set_problem(name, detail)
        if (before is None) == (detail is None):
            return
        if detail is None:
            self._log.info("problem_gone", problem=name)
        else:
            self._log.warning("problem", problem=name, detail=detail)

    def _report(self, status: CaptureStatus, now_s: float) -> None:
        stuck = self._health.stuck(now_s)
        report = {
            "state": self._health.state,
            "problems": self._health.problems,
            "stuck": stuck,
            "at_s": self._clock.now().unix_s,
            "clock": self._clock.now().trust.value,
            "camera": {**asdict(status), "state": status.state.value},
            "decoder": {name: asdict(count) for name, count in self._decoder.counts.items()},
            "hint": self._advice,
            "lists": self._lists(),
            "scans": self._scans,
            "outbox": self._backlog(),
        }
        write_health(self._health_file, report)
        if not self._announced:
            self._announced = True
            self._notify("READY=1")
        self._notify(
            f"STATUS={self._health.state}" + "".join(f"; {name}" for name in self._health.problems)
        )
        if not stuck:
            self._notify("WATCHDOG=1")

    def _lists(self) -> dict[str, int]:
        """Return the trust list's version and the number of status lists."""
        if self._anchors is None:
            return {"trust_list": 0, "status_lists": 0}
        return {
            "trust_list": self._anchors.trust.version,
            "status_lists": len(self._anchors.status),
        }

    def _backlog(self) -> dict[str, Any] | None:
        if self._store is None:
            return None
        try:
            return asdict(backlog(self._store))
        except StoreUnavailableError:
            return None
