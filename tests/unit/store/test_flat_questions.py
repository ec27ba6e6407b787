"""What is asked each second and with each scan costs the same, however much the store holds.

The cost is counted in steps of SQLite's virtual machine, which no load of this machine changes.
"""

import os
import re

import pytest

from benchmarks.asked import FRESH, NOW, Asked
from benchmarks.grown_store import grow
from edge.store.opening import open_store
from edge.store.retention import BOUNDS, PERMANENT

FEW, MANY = 1_000, 10_000
REFUSED = 100  # of either: a count of these ends at MOST_COUNTED
GROWING = (
    PERMANENT - {"epoch", "policy", "withdrawal"}
    | {bound.table for bound in BOUNDS}
    | {"entitlement"}
)
NAMES = tuple(Asked.all(object.__new__(Asked)))
OVERHEAD = 1.1  # a deeper tree costs no step, a few more rows of a leaf may


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Return what is asked of a store with FEW and of one with MANY redemptions."""
    found = {}
    for rows in (FEW, MANY):
        folder = tmp_path_factory.mktemp(f"of-{rows}")
        store = open_store(
            folder, device_id="bench", now_s=NOW.unix_s, random_bytes=os.urandom
        ).store
        grow(store, rows, fresh=FRESH, refused=REFUSED)
        found[rows] = (store, Asked(store, rows))
    yield found
    for store, _ in found.values():
        store.close()


def steps(store, ask) -> int:
    """Return how many steps SQLite's virtual machine takes for ``ask``."""
    taken = [0]

    def count():
        taken[0] += 1

    ask()  # the first time it may write what it writes once
    store.connection().set_progress_handler(count, 1)
    try:
        ask()
    finally:
        store.connection().set_progress_handler(None, 1)
    return taken[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_question_takes_no_more_steps_when_the_store_holds_ten_times_as_much(grown, name):
    few, many = (steps(store, asked.all()[name]) for store, asked in grown.values())
    assert many <= few * OVERHEAD


@pytest.mark.parametrize("name", NAMES)
def test_no_question_reads_a_table_that_grows_from_end_to_end(grown, name):
    store, asked = grown[FEW]
    statements = []
    store.connection().set_trace_callback(statements.append)
    asked.all()[name]()
    store.connection().set_trace_callback(None)
    assert statements
    scanned = {
        (statement, table)
        for statement in set(statements)
        for table in scans(store, statement)
        if " LIMIT " not in statement
    }
    assert not scanned


def scans(store, statement: str) -> list[str]:
    """Return the growing tables that SQLite reads whole for ``statement``.

    A partial index is no whole table: that of the open doors, say.
    """
    if not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", statement):
        return []
    plan = store.connection().execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    partial = store.connection().execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'"
    )
    parts = "|".join(name for (name,) in partial)
    names = [
        found[1]
        for row in plan
        if (found := re.match(r"SCAN (\w+)", row[3])) and not re.search(rf"INDEX ({parts})", row[3])
    ]
    return [table for table in (table_of(name, statement) for name in names) if table in GROWING]


def table_of(name: str, statement: str) -> str:
    """Return the table that ``name`` stands for in ``statement``."""
    found = re.search(rf"\b({'|'.join(GROWING)})\s+(?:AS\s+)?{name}\b", statement)
    return found[1] if found else name
