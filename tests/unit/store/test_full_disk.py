"""A full disk is a state with a name, which says what to do (law 6); nothing is redeemed in it."""

from types import SimpleNamespace

import pytest

from edge.domain.verdict import Verdict
from edge.system import disk_space
from edge.system.disk_space import DISK_FULL, FULL_BYTES, disk_problem
from tests.support.sample_shop import NOON, code, deliver, open_at, order, redeemer


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    yield store
    store.close()


def fill(store):
    """Give the store no page more than it has."""
    (pages,) = store.connection().execute("PRAGMA page_count").fetchone()
    store.connection().execute(f"PRAGMA max_page_count = {pages}")


def test_a_scan_on_a_full_disk_redeems_nothing_and_says_what_to_do(store):
    codes = [code() for _ in range(200)]
    deliver(store, *(order(claims) for claims in codes))
    fill(store)
    outcomes = [redeemer(store).redeem(claims, NOON) for claims in codes]
    refused = [outcome for outcome in outcomes if not outcome.is_accepted]
    assert {outcome.reason for outcome in refused} == {Verdict.STORE_UNAVAILABLE}
    assert refused[0].detail.startswith(DISK_FULL)
    assert disk_space.WHAT_TO_DO in refused[0].detail


def test_a_code_that_met_a_full_disk_is_redeemed_when_there_is_room_again(store):
    codes = [code() for _ in range(200)]
    deliver(store, *(order(claims) for claims in codes))
    fill(store)
    refused = [claims for claims in codes if not redeemer(store).redeem(claims, NOON).is_accepted]
    store.connection().execute("PRAGMA max_page_count = 1000000")
    assert refused
    assert all(redeemer(store).redeem(claims, NOON).is_accepted for claims in refused)


@pytest.mark.parametrize(
    ("free_bytes", "problems"),
    [(FULL_BYTES - 1, {DISK_FULL}), (FULL_BYTES, set())],
    ids=["just too little", "just enough"],
)
def test_a_disk_is_full_before_the_store_is(tmp_path, monkeypatch, free_bytes, problems):
    facts = SimpleNamespace(f_bavail=free_bytes, f_frsize=1)
    monkeypatch.setattr(disk_space.os, "statvfs", lambda _folder: facts)
    assert disk_problem(tmp_path).keys() == problems
