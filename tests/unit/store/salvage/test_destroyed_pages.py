"""Destroy pages of a store: what is readable anywhere in its files is known to the one after it.

``make prove`` destroys every page, at the size of EDGE_SCANNER_SALVAGE_REDEMPTIONS (2,000).
"""

import os
import random

import pytest

from edge.store.database.store import FILE, Store
from edge.store.opening import StoreState
from tests.support.broken_stores import (
    KINDS,
    MEMORY,
    check,
    copy_of,
    destroy,
    start,
    write_history,
)

FULL = int(os.environ.get("EDGE_SCANNER_SALVAGE_REDEMPTIONS", "2000"))
SMALL = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder in memory where there is one: each trial writes a store."""
    if not MEMORY.is_dir():
        yield tmp_path_factory.mktemp("salvage")
        return
    path = MEMORY / f"salvage-{os.getpid()}"
    path.mkdir()
    yield path
    for each in sorted(path.rglob("*"), reverse=True):
        each.rmdir() if each.is_dir() else each.unlink()
    path.rmdir()


@pytest.fixture(scope="module")
def small(folder):
    return write_history(folder / "small", redemptions=SMALL, unsent=SMALL // 5)


@pytest.fixture(scope="module")
def full(folder):
    return write_history(folder / "full", redemptions=FULL, unsent=FULL // 5)


def trial(history, pages, kind, rng, *, suffix=""):
    """Destroy pages of a copy of the store, or of its log, and start; return what was saved."""
    folder = copy_of(history, history.folder.parent / "trial")
    destroy(folder / f"{FILE}{suffix}", pages, kind, rng)
    opened = start(folder)
    assert opened.store is not None, opened.detail
    destroyed = set(pages) if not suffix else {0}
    saved = check(history, opened, destroyed=destroyed, rng=rng)
    opened.store.close()
    assert saved.wrong == [], (pages, kind)
    return opened, saved


def destroy_each(history, pages, rng):
    """Destroy one page after the other; return the fewest uses and events that were saved."""
    fewest = [len(history.uses), len(history.events)]
    for number, page in enumerate(pages):
        _, saved = trial(history, [page], KINDS[number % len(KINDS)], rng)
        fewest = [min(fewest[0], saved.uses), min(fewest[1], saved.events)]
    return fewest


def test_any_page_of_a_store_may_be_destroyed(small):
    rng = random.Random(1)
    one_of_each_tree = {name: page for page, name in small.pages.items()}
    some = rng.sample(sorted(small.pages), 8)
    uses, events = destroy_each(small, [*one_of_each_tree.values(), *some], rng)
    assert uses == len(small.uses), "every redemption is in the ledger, the outbox and the journal"
    assert events >= len(small.events) - 1, "only a refusal is in the outbox alone"


@pytest.mark.slow
def test_every_page_of_a_large_store_may_be_destroyed(full):
    uses, events = destroy_each(full, sorted(full.pages), random.Random(2))
    print(f"{uses} of {len(full.uses)} redemptions, {events} of {len(full.events)} events")
    assert uses == len(full.uses)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_share_of_the_pages_may_be_destroyed(small, share):
    for seed in range(2):
        rng = random.Random(f"{share}/{seed}")
        pages = rng.sample(sorted(small.pages), max(2, int(share * len(small.pages))))
        trial(small, pages, rng.choice(KINDS), rng)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_share_of_a_large_stores_pages_may_be_destroyed(full, share):
    for seed in range(50):
        rng = random.Random(f"{share}/{seed}")
        pages = rng.sample(sorted(full.pages), max(2, int(share * len(full.pages))))
        trial(full, pages, rng.choice(KINDS), rng)


@pytest.fixture(scope="module")
def logged(folder):
    """Return the history of a device whose power was cut: all of it is in its log."""
    stores = []

    def keep(store):  # SQLite would remove the log with the last connection
        stores.append(store)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "close", keep)
        history = write_history(folder / "logged", redemptions=30, unsent=6)
    yield history
    for store in stores:
        store.close()


def test_any_page_of_the_log_may_be_destroyed(logged):
    pages = (logged.folder / f"{FILE}-wal").stat().st_size // 4096
    rng = random.Random(3)
    for page in [1, 2, *rng.sample(range(3, pages - 30), 8)]:  # SQLite drops a torn last commit
        opened, saved = trial(logged, [page], KINDS[page % 2], rng, suffix="-wal")
        assert opened.state is StoreState.QUARANTINED
        assert (saved.uses, saved.events) == (len(logged.uses), len(logged.events))


@pytest.mark.parametrize("table", ["ledger", "outbox"])
def test_the_check_sees_what_is_lost(small, table):
    folder = copy_of(small, small.folder.parent / "control")
    (page,) = [page for page, name in small.pages.items() if name == "session"]
    destroy(folder / FILE, [page], "zeros", random.Random(4))
    opened = start(folder)
    with opened.store.transaction() as connection:
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute("DELETE FROM journal")
        if table == "ledger":
            connection.execute("DELETE FROM ledger WHERE id = 41")
        else:
            connection.execute("DELETE FROM outbox WHERE (epoch_no, seq) = (1, 150)")
    saved = check(small, opened, destroyed={page}, rng=random.Random(4))
    opened.store.close()
    assert len(set(saved.wrong)) == 1, saved.wrong
