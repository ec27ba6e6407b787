"""The scanner's health as edge-sync reports it."""

import pytest

from sync.agent.scanner_health import ScannerHealthWatch
from sync.wire.messages import MOST_PROBLEMS, HealthReport

SCANNING = {
    "state": "scanning",
    "problems": {},
    "camera": {"state": "streaming"},
    "clock": "trusted",
}


class Scanner:
    """A health file and a clock, both moved by the test."""

    def __init__(self):
        self.now_s = 100.0
        self.file = {}
        self.watch = ScannerHealthWatch(
            lambda: self.file, every_s=2.0, silent_s=20.0, monotonic_s=lambda: self.now_s
        )

    def write(self, **fields):
        self.file = {**SCANNING, "at_s": self.now_s, **fields}

    def health(self, *sync_problems):
        return self.watch.health(sync_problems)


def test_the_health_of_a_scanner_that_runs_is_what_it_wrote_last():
    scanner = Scanner()
    scanner.write()
    assert scanner.health() == HealthReport(scanner="scanning", camera="streaming", clock="trusted")
    scanner.now_s += 2
    scanner.write(state="degraded", problems={"camera": "lost"}, camera={"state": "lost"})
    assert scanner.health("orders_stale") == HealthReport(
        scanner="degraded", camera="lost", clock="trusted", problems=("camera", "orders_stale")
    )


def test_a_health_file_that_no_longer_changes_is_a_silent_scanner():
    scanner = Scanner()
    scanner.write()
    scanner.health()
    scanner.now_s += 19
    assert scanner.health().scanner == "scanning"
    scanner.now_s += 1
    assert scanner.health("orders_stale") == HealthReport(
        scanner="silent", problems=("orders_stale",)
    )
    scanner.now_s += 2
    scanner.write()
    assert scanner.health().scanner == "scanning"


def test_a_scanner_that_never_wrote_is_unknown_and_then_silent():
    scanner = Scanner()
    assert scanner.health() is None
    scanner.now_s += 20
    assert scanner.health().scanner == "silent"


@pytest.mark.parametrize(
    "fields",
    [
        {"camera": "lost"},
        {"problems": ["camera"]},
        {"clock": 7},
        {"problems": {"x" * 500: "too long"}},
        {"problems": {f"problem {number}": "" for number in range(100)}},
    ],
)
def test_a_damaged_health_file_gives_a_report_that_fits(fields):
    scanner = Scanner()
    scanner.write(**fields)
    assert len(scanner.health().problems) <= MOST_PROBLEMS
