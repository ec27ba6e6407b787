"""Bytes that flip anywhere in a small store: what it redeemed stays redeemed."""

import os
import random
import sqlite3
from contextlib import closing

import pytest

from edge.store.opening import StoreState, open_store
from tests.support.sample_shop import DEVICE, NOON
from tests.support.used_device import UsedDevice

USES = (
    "SELECT cti, use_no FROM ledger WHERE use_no IS NOT NULL"
    " AND id NOT IN (SELECT reverses FROM ledger WHERE reverses IS NOT NULL)"
)


@pytest.fixture
def used(tmp_path):
    """Make a store with a few redemptions; return its bytes and the uses in it."""
    UsedDevice(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        uses = set(connection.execute(USES))
    return (tmp_path / "store.db").read_bytes(), uses


def lost_after(folder, content, uses):
    """Open a store with this content as one that is suspect; return the uses that are gone."""
    folder.mkdir()
    (folder / "store.db").write_bytes(content)
    (folder / "store.suspect").write_text("suspect")
    opened = open_store(folder, device_id=DEVICE, now_s=NOON.unix_s + 60, random_bytes=os.urandom)
    assert opened.store is not None, opened.detail
    try:
        if opened.state is not StoreState.QUARANTINED:
            return set()
        with opened.store.read() as connection:
            return uses - set(connection.execute("SELECT cti, use_no FROM ledger"))
    finally:
        opened.store.close()


@pytest.mark.parametrize("openings", [100, pytest.param(5000, marks=pytest.mark.slow)])
def test_no_use_is_lost_whatever_bytes_have_flipped(tmp_path, used, scoreboard, openings):
    raw, uses = used
    chance = random.Random(openings)
    places = [place for place, byte in enumerate(raw) if byte]
    lost = {}
    for number in range(scoreboard.size(openings)):
        flipped, at = bytearray(raw), chance.sample(places, chance.choice([1, 1, 2, 5]))
        for place in at:
            flipped[place] ^= chance.choice([0x80, 0xFF, 1 << chance.randrange(8)])
        gone = lost_after(tmp_path / f"{number}", bytes(flipped), uses)
        scoreboard.count("flipped bytes", broken=bool(gone))
        if gone:
            lost[number] = at
    assert lost == {}


def test_a_header_that_swallows_a_value_costs_no_use(tmp_path, used):
    """Set the high bit of each byte of the ledger's page in turn."""
    raw, uses = used
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ledger'"
        ).fetchone()
    page = range((root - 1) * 4096 + 8, root * 4096)
    headers = [place for place in page if raw[place] in (1, 2, 3, 4)]  # types of small integers
    for place in random.Random(1).sample(headers, min(40, len(headers))):
        flipped = bytearray(raw)
        flipped[place] |= 0x80
        assert lost_after(tmp_path / f"{place}", bytes(flipped), uses) == set(), place


def test_the_check_sees_a_use_that_is_gone(tmp_path, used):
    raw, uses = used
    imagined = uses | {(b"never redeemed..", 1)}
    flipped = bytearray(raw)
    flipped[100] ^= 0xFF
    assert lost_after(tmp_path / "one", bytes(flipped), imagined) == {(b"never redeemed..", 1)}
