"""Many small changes hold the store for a moment at a time: a scan waits for one chunk, not all."""

import pytest

from edge.store.database.chunks import HOLD_S, Chunks
from tests.support.sample_shop import open_at

EACH_S = HOLD_S / 16


class Changes:
    """Changes that each take ``EACH_S`` of a clock that nothing else moves."""

    def __init__(self, store):
        self.chunks = Chunks(store, lambda: self.now_s)
        self.now_s, self.commit_s = 0.0, 0.0
        self.began = []  # the number of changes that were on disk when each transaction began
        store.connection().set_trace_callback(self._trace)
        self._store, self.made = store, 0

    def _trace(self, statement):
        if statement == "BEGIN IMMEDIATE":
            self.began.append(self.made)
        if statement == "COMMIT":
            self.now_s += self.commit_s

    def __call__(self, connection, item):
        self.now_s += EACH_S
        if item is None:
            raise ValueError
        connection.execute("INSERT INTO policy (document) VALUES (?)", (str(item),))
        self.made += 1
        return -item

    def on_disk(self):
        with self._store.read() as connection:
            return connection.execute("SELECT count(*) FROM policy").fetchone()[0]


@pytest.fixture
def changes(tmp_path):
    store = open_at(tmp_path)
    yield Changes(store)
    store.close()


def test_a_transaction_ends_when_a_quarter_of_its_time_is_used(changes):
    """The rest is for the disk."""
    assert changes.chunks.apply(range(10), changes) == [-item for item in range(10)]
    assert changes.began == [0, 4, 8]
    assert changes.on_disk() == 10


def test_a_disk_that_is_slow_gets_fewer_changes_in_one_transaction(changes):
    changes.commit_s = HOLD_S * 7 / 8
    changes.chunks.apply(range(8), changes)
    assert changes.began == [0, 4, 6]


def test_a_change_that_takes_longer_has_a_transaction_of_its_own(changes, monkeypatch):
    monkeypatch.setitem(globals(), "EACH_S", HOLD_S)
    changes.chunks.apply(range(3), changes)
    assert changes.began == [0, 1, 2]


def test_what_a_failure_leaves_is_a_beginning(changes):
    with pytest.raises(ValueError, match=r"^$"):
        changes.chunks.apply([*range(5), None, 6], changes)
    assert changes.on_disk() == 4


def test_nothing_to_change_takes_no_lock(changes):
    assert changes.chunks.apply([], changes) == []
    assert changes.began == []
