"""What a device had not reported when its store broke reaches the platform after it (law 2)."""

import os
import random
import sqlite3
from contextlib import closing

import pytest

from edge.store import exception_cases, outbox
from edge.store.database.store import FILE, SUSPECT
from edge.store.opening import StoreState, open_store
from sync.hub.ledger import listing
from tests.support.broken_stores import destroy
from tests.support.two_ledgers import NOW, World
from tests.support.used_device import pages_of


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    for use in (1, 2, 3, 4):
        world.event(use=use)
    yield world
    world.hub.close()


def break_store(world, lost):
    """Take an event out of the store as a lost page does, and start the device again."""
    folder = world.folder / "kiosk-1"
    world.stores["kiosk-1"].close()
    pages = pages_of(folder, "operator_log")
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("DELETE FROM outbox WHERE seq = ?", (lost,))
        connection.commit()
    destroy(folder / FILE, pages, "noise", random.Random(1))
    (folder / SUSPECT).touch()
    opened = open_store(folder, device_id="kiosk-1", now_s=NOW.unix_s, random_bytes=os.urandom)
    assert opened.state is StoreState.QUARANTINED, opened.detail
    world.stores["kiosk-1"] = opened.store
    world.restart("kiosk-1")


def at_the_platform(world):
    rows = listing.list_events(world.hub, dev="kiosk-1")
    return [(row["seq"], row["type"], row["refused"]) for row in rows]


def test_a_lost_event_stops_none_of_those_behind_it_and_both_ends_name_it(world):
    epoch, _ = outbox.current_epoch(world.stores["kiosk-1"])
    break_store(world, lost=2)
    world.calm()
    assert at_the_platform(world) == [
        (1, "redeemed", None),
        (2, "withheld", "lost"),
        (3, "redeemed", None),
        (4, "redeemed", None),
    ]
    store = world.stores["kiosk-1"]
    assert outbox.backlog(store).pending == 0
    assert outbox.acknowledged_through(store, epoch) == 4
    causes = [case.cause for case in exception_cases.cases(store)]
    assert sum(f"events 2 of {epoch}" in cause for cause in causes) == 1
    assert len(causes) == 2, "and that a new store was begun"


def test_an_event_that_had_arrived_before_it_was_lost_stays_as_it_was(world):
    world.tick()
    world.ingest()
    break_store(world, lost=2)
    world.calm()
    assert [kind for _, kind, _ in at_the_platform(world)] == ["redeemed"] * 4
