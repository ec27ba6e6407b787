"""What is kept, and for how long: one table of bounds, and pruning that ends within them."""

import re
from dataclasses import replace

import pytest

from edge.store import retention, scan_journal
from edge.store.retention import BATCH, BOUNDS, CURRENT, PERMANENT
from edge.store.scan_journal import JournalEntry
from edge.values.instant import ClockTrust
from tests.support.paths import DOCS
from tests.support.sample_shop import NOON, at, code, deliver, open_at, order, redeemer

REFUSED, REDEEMED, REQUESTS, SIGN_INS = BOUNDS
DAY_S = 86_400


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    yield store
    store.close()


def refuse(store, count, *, now=NOON, detail="x" * 100):
    with store.transaction() as connection:
        return [
            scan_journal.write(connection, JournalEntry("expired", detail, now))
            for _ in range(count)
        ]


def redeem(store, count):
    codes = [code() for _ in range(count)]
    deliver(store, *(order(claims) for claims in codes))
    return [redeemer(store).redeem(claims, NOON).journal_id for claims in codes]


def prune(store, bound, now=NOON):
    """Prune to the end; return in how many goes."""
    goes = 1
    while retention.prune(store, bound, now):
        goes += 1
    return goes


def kept(store):
    with store.read() as connection:
        return [row[0] for row in connection.execute("SELECT id FROM journal ORDER BY id")]


def test_every_table_of_the_store_is_permanent_current_or_bounded(store):
    with store.read() as connection:
        tables = {
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    bounded = {bound.table for bound in BOUNDS}
    assert tables == PERMANENT | CURRENT | bounded
    assert len(tables) == len(PERMANENT) + len(CURRENT) + len(bounded)


def test_the_bounds_are_those_of_the_page():
    page = (DOCS / "reference" / "retention.md").read_text(encoding="utf-8")
    shown = re.findall(r"\| ([\d,]+) rows, (\d+) MiB, (\d+) days \|", page)
    bounds = [(f"{bound.rows:,}", str(bound.bytes >> 20), str(bound.days)) for bound in BOUNDS]
    assert shown == bounds


def test_the_newest_rows_are_kept(store):
    written = refuse(store, 50)
    prune(store, replace(REFUSED, rows=20))
    assert kept(store) == written[-20:]


def test_large_rows_are_fewer(store):
    refuse(store, 100, detail="x" * 900)
    prune(store, replace(REFUSED, bytes=50_000))
    assert len(kept(store)) == 50


def test_rows_that_are_too_old_go(store):
    old, young = refuse(store, 5, now=at(-90 * DAY_S - 1)), refuse(store, 5, now=at(-89 * DAY_S))
    prune(store, REFUSED)
    assert kept(store) == young
    assert old


def test_a_clock_that_is_not_trusted_deletes_nothing_for_its_age(store):
    written = refuse(store, 5)
    prune(store, REFUSED, at(1000 * DAY_S, ClockTrust.FLOOR_ONLY))
    assert kept(store) == written


def test_pruning_goes_on_until_it_is_done_a_few_rows_at_a_time(store):
    written = refuse(store, 3 * BATCH + 20)
    assert prune(store, replace(REFUSED, rows=10)) == 4
    assert kept(store) == written[-10:]


def test_strangers_do_not_push_out_what_was_redeemed(store):
    redeemed = redeem(store, 5)
    refuse(store, 100)
    for bound in (replace(REFUSED, rows=10), replace(REDEEMED, rows=10)):
        prune(store, bound)
    assert kept(store)[:5] == redeemed


def test_the_facts_of_redemptions_have_a_bound_too(store):
    redeemed = redeem(store, 12)
    prune(store, replace(REDEEMED, rows=10))
    assert kept(store) == redeemed[-10:]


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: f"{bound.table} {bound.which}")
def test_an_empty_table_has_nothing_to_prune(store, bound):
    assert prune(store, bound) == 1
