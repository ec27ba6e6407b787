"""A scanner whose disk fails says so, keeps trying, and scans on when the disk is back."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hardware_sim.run.in_process_scanner import provision_scanner

from tests.support.system_call_faults import COMPILER, build

CEILING_S = 60.0  # only a guard: every wait is for an event

pytestmark = pytest.mark.skipif(
    COMPILER is None, reason="a C compiler is not installed (Debian: gcc)"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("library"))


# Twice the hold-off of the sample's profile: the code counts again, also for a scanner that has
# just opened its store again and took it for one in view.
OUT_OF_VIEW_S = 1.2


class FaultyScanner:
    """A scanner's process; while ``control`` exists, each system call on its store fails."""

    def __init__(self, sample, library, control):
        self.data, self.control = sample.data, control
        environment = {
            "LD_PRELOAD": str(library),
            "FAULT_FILES": str(sample.data.resolve() / "store"),
            "FAULT_CONTROL": str(control),
        }
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "hardware_sim.run.simulated_scanner"),
                *("--profile", sample.profile, "--data", sample.data),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def fail(self, name):
        self.control.write_text(str(getattr(errno, name)))

    def scan(self, text):
        """Show a code; return the log line of its scan."""
        self.tell(show=text, condition="clean")
        try:
            for line in map(json.loads, self.process.stdout):
                if line["event"] == "scan":
                    return line
            raise EOFError
        finally:
            self.tell(clear=True)
            time.sleep(OUT_OF_VIEW_S)

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def wait_for_problem(self, name, *, present):
        until_s = time.monotonic() + CEILING_S
        while True:
            with contextlib.suppress(FileNotFoundError):
                report = json.loads((self.data / "health.json").read_text())
                if (name in report["problems"]) == present:
                    return report
            assert time.monotonic() < until_s, f"{name} did not become {present}"
            time.sleep(0.05)


@pytest.fixture
def device(tmp_path, library):
    sample = provision_scanner(tmp_path, now_s=int(time.time()))
    started = []

    def start():
        started.append(FaultyScanner(sample, library, tmp_path / "control"))
        return started[-1]

    start.codes = sample.codes
    yield start
    for scanner in started:
        scanner.process.kill()
        scanner.process.wait()


@pytest.mark.parametrize("error", ["EIO", "EMFILE", "EROFS"])
def test_a_scanner_started_while_its_disk_fails_says_so_and_scans_when_the_disk_is_back(
    device, tmp_path, error
):
    scanner = device()
    assert scanner.scan(device.codes["voucher"])["reason"] == "accepted"
    scanner.process.send_signal(signal.SIGTERM)
    scanner.process.wait(10)
    (scanner.data / "health.json").unlink()
    files = store_files(scanner.data)

    scanner.fail(error)
    scanner = device()
    report = scanner.wait_for_problem("store_unavailable", present=True)
    assert report["state"] == "degraded"
    refused = scanner.scan(device.codes["voucher"])
    assert (refused["reason"], refused["signal"]) == ("store_unavailable", "fault")

    scanner.control.unlink()
    scanner.wait_for_problem("store_unavailable", present=False)
    assert scanner.process.poll() is None, "the same process goes on"
    assert scanner.scan(device.codes["voucher"])["reason"] == "already_redeemed"
    assert store_files(scanner.data) == files, "nothing was put aside"


def test_a_scanner_whose_disk_fails_at_work_says_so_and_scans_when_the_disk_is_back(device):
    scanner = device()
    assert scanner.scan(device.codes["voucher"])["reason"] == "accepted"
    files = store_files(scanner.data)
    scanner.fail("EIO")
    assert scanner.scan(device.codes["glare"])["reason"] == "store_unavailable"
    scanner.wait_for_problem("store_unavailable", present=True)
    scanner.control.unlink()
    scanner.wait_for_problem("store_unavailable", present=False)
    assert scanner.scan(device.codes["voucher"])["reason"] == "already_redeemed"
    assert scanner.scan(device.codes["glare"])["reason"] == "accepted"
    assert store_files(scanner.data) == files


def store_files(data: Path):
    return {path.name for path in data.glob("store.db*")} - {"store.db-wal", "store.db-shm"}
