"""The way back to an older version, with two trees of sources: the later has one migration more.

`make try-deb` goes the same way with two packages.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from hardware_sim.run.in_process_scanner import provision_scanner

from edge.store import exception_cases, ledger, outbox, reviews
from edge.store.database.store import FILE, Store
from edge.store.opening import open_for_reading
from tests.support.paths import ROOT

MIGRATION = '''
STEPS = (*STEPS, ("9999_next", """
ALTER TABLE ledger ADD COLUMN till TEXT NOT NULL DEFAULT 'left';
ALTER TABLE outbox ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intent ADD COLUMN weight_g INTEGER;
CREATE TABLE till (name TEXT PRIMARY KEY) STRICT;
INSERT INTO till VALUES ('left');
"""))
'''
DOORS = "SELECT id, ledger_id, cti, compartment, position, state, detail, ended_s FROM intent"
CEILING_S = 60.0  # only a guard: every wait is for an event


@pytest.fixture(scope="module")
def later_tree(tmp_path_factory):
    """Return this tree's sources with one migration more."""
    tree = tmp_path_factory.mktemp("later")
    for folder in ("edge", "sync", "hardware-sim"):
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tree / folder, ignore=leave)
    schema = tree / "edge" / "store" / "database" / "schema.py"
    with schema.open("a", encoding="utf-8") as file:
        file.write(MIGRATION)
    return tree


class Version:
    """A scanner's process that runs the sources of ``tree``."""

    def __init__(self, sample, tree):
        self.sample = sample
        paths = os.pathsep.join(map(str, (tree, tree / "hardware-sim")))
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "hardware_sim.run.simulated_scanner"),
                *("--profile", sample.profile, "--data", sample.data),
            ],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self, event, **said):
        for found in map(json.loads, self.process.stdout):
            if found["event"] == event and said.items() <= found.items():
                return found
        raise EOFError(event)

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def scan(self, name):
        self.tell(show=self.sample.codes[name], condition="clean")
        reason = self.line("scan")["reason"]
        self.tell(clear=True)
        return reason

    def problems(self):
        until_s = time.monotonic() + CEILING_S
        while True:
            with contextlib.suppress(FileNotFoundError):
                return json.loads((self.sample.data / "health.json").read_text())["problems"]
            assert time.monotonic() < until_s
            time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0
        (self.sample.data / "health.json").unlink(missing_ok=True)


@pytest.fixture
def run(tmp_path):
    """Return a function that starts the sources of a tree on one device."""
    sample = provision_scanner(tmp_path, now_s=int(time.time()))
    started = []

    def run(tree):
        started.append(Version(sample, tree))
        return started[-1]

    run.data = sample.data
    yield run
    for version in started:
        version.process.kill()
        version.process.wait()


def history(store):
    """Return all that a device must not forget."""
    try:
        return {
            "redemptions": ledger.rows(store),
            "events": [(e.epoch, e.seq, e.id, e.type, e.body) for e in outbox.pending(store)],
            "reviews": reviews.reviews(store),
            "cases": exception_cases.cases(store),
            "doors": store.connection().execute(DOORS).fetchall(),
        }
    finally:
        store.close()


def test_a_device_that_goes_back_a_version_remembers_what_it_did_and_forward_again(run, later_tree):
    later = run(later_tree)
    assert later.scan("voucher") == "accepted"
    assert later.scan("risky") == "accepted_pending_review"
    later.tell(fail="A1", how="no_open")
    assert later.scan("pickup") == "accepted"
    assert later.line("door", exception="door_not_opened")["compartment"] == "A1"
    later.stop()
    before = history(Store(run.data / FILE, read_only=True))
    assert all(before.values()), "there is something of each to forget"

    older = run(ROOT)
    assert "quarantined" in older.problems()
    assert older.scan("voucher") == "already_redeemed"
    older.stop()
    assert [path.name for path in run.data.glob(f"{FILE}.*.newer")]
    after = history(open_for_reading(run.data))
    assert after["redemptions"] == before["redemptions"]
    for what in ("events", "reviews", "cases", "doors"):
        assert [each for each in before[what] if each not in after[what]] == [], what

    later = run(later_tree)
    assert "quarantined" not in later.problems()
    assert later.scan("voucher") == "already_redeemed"
    later.stop()
    assert history(Store(run.data / FILE, read_only=True)) == after
