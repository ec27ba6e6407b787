"""A process that commits without end gives way: a scan waits for one transaction, never for all."""

import subprocess
import sys

import pytest

from tests.support.broker import until
from tests.support.sample_shop import open_at

TURNS = 50
MOST_BEFORE = 2  # transactions: the one that is running, and one that began at the same moment

# It counts its transactions in the store, each of which takes some milliseconds.
BUSY = """
import sys, time
from pathlib import Path
from edge.store.database.store import FILE, Store
store = Store(Path(sys.argv[1]) / FILE)
store.give_way()
while True:
    with store.transaction() as connection:
        connection.execute("UPDATE device SET requests = requests + 1")
        time.sleep(0.003)
"""


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    busy = subprocess.Popen([sys.executable, "-c", BUSY, str(tmp_path)])
    yield store
    busy.kill()
    busy.wait()
    store.close()


def counted(connection) -> int:
    return connection.execute("SELECT requests FROM device").fetchone()[0]


def test_a_scan_waits_for_one_transaction_of_a_process_that_never_stops(store):
    def now() -> int:
        with store.read() as connection:
            return counted(connection)

    waited, last = [], 0
    for _ in range(TURNS):
        until(lambda: now() > last, what="the other process commits")  # noqa: B023 - used at once
        before = now()
        with store.transaction() as connection:
            last = counted(connection)
            waited.append(last - before)
    # This process may be held up between the two readings: that is no wait for the store.
    assert sorted(waited)[int(TURNS * 0.9)] <= MOST_BEFORE
