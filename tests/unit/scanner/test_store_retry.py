"""A store that cannot be opened is tried again, and health names it until it can."""

import json
from types import SimpleNamespace

import pytest
import structlog

from edge.capture.capture_status import CaptureState, CaptureStatus
from edge.ports import Signal
from edge.scanner.supervisor import Supervisor, SupervisorTimings, WatchedParts
from edge.store.database.store import StoreUnavailableError
from edge.system.disk_space import DISK_FULL
from edge.system.health import Health
from edge.values.instant import ClockTrust, Instant

TIMINGS = SupervisorTimings(retry_store_every_s=5.0, reopen_store_after_s=60.0)


class Clock:
    def __init__(self):
        self.s = 0.0

    def monotonic_s(self):
        return self.s

    def now(self):
        return Instant(unix_s=1_800_000_000 + int(self.s), trust=ClockTrust.TRUSTED)


class FailingStore:
    """A store whose every use fails."""

    def __init__(self, folder, **said):
        self.path = folder / "store.db"
        self.said = said

    def data_version(self):
        raise StoreUnavailableError("the store cannot be used (SQLITE_IOERR_READ)", **self.said)

    transaction = read = data_version


@pytest.fixture
def watch(tmp_path):
    """Return a function that watches a store for some seconds, and the supervisor."""
    clock, health = Clock(), Health(limit_s=10.0)

    def watch(store=None, *, is_back=lambda: False, problems=(), for_s=0.0):
        for name in ("store_unavailable", *problems):
            health.set_problem(name, "as found at the start")
        counts = dict.fromkeys(("frames", "dropped", "openings", "stalls", "losses", "hanging"), 0)
        status = CaptureStatus(state=CaptureState.STREAMING, detail="", **counts)
        supervisor = Supervisor(
            health=health,
            health_file=tmp_path / "health.json",
            watched=WatchedParts(
                capture=SimpleNamespace(status=lambda: status),
                decoder=SimpleNamespace(counts={}),
                store=store,
                anchors=None,
                store_is_back=is_back,
            ),
            clock=clock,
            log=structlog.get_logger(),
            notify=lambda _: None,
            timings=TIMINGS,
        )
        for _ in range(int(for_s) + 1):
            supervisor.tick()
            clock.s += 1.0
            if supervisor.finished:
                break
        return supervisor

    return watch


def test_a_store_that_is_not_there_is_tried_every_few_seconds_and_named(watch, tmp_path):
    tries = []
    supervisor = watch(is_back=lambda: tries.append(1), for_s=30)
    assert len(tries) == 6
    assert not supervisor.finished
    assert supervisor.resting_signal is Signal.FAULT
    report = json.loads((tmp_path / "health.json").read_text())
    assert (report["state"], list(report["problems"])) == ("degraded", ["store_unavailable"])


def test_a_store_that_is_back_is_opened_by_the_same_process(watch):
    supervisor = watch(is_back=lambda: True, for_s=30)
    assert supervisor.wants_reopening
    assert not supervisor.wants_restart


def test_a_store_that_fails_for_a_minute_is_opened_again(watch, tmp_path):
    assert not watch(FailingStore(tmp_path), for_s=50).finished
    assert watch(FailingStore(tmp_path), for_s=70).wants_reopening


def test_a_corrupt_store_needs_a_new_process(watch, tmp_path):
    supervisor = watch(FailingStore(tmp_path, corrupt=True))
    assert supervisor.wants_restart
    assert not supervisor.wants_reopening


def test_a_full_disk_is_no_reason_to_open_a_store_again(watch, tmp_path, monkeypatch):
    full = {DISK_FULL: "the disk is full"}
    monkeypatch.setattr("edge.scanner.supervisor.disk_problem", lambda _: full)
    assert not watch(FailingStore(tmp_path), for_s=70).finished
