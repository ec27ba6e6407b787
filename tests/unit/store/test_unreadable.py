"""What cannot be read now is not lost: it is tried again, and nothing is put aside for it."""

import errno
import fcntl
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.domain.verdict import Verdict
from edge.store import ledger, making, outbox
from edge.store.database import examination, integrity
from edge.store.database.store import (
    FILE,
    LOCK,
    SUSPECT,
    Store,
    StoreUnavailableError,
    connect,
    explain,
)
from edge.store.database.store_files import StoreFiles
from edge.store.opening import StoreState, open_for_reading, open_store
from edge.store.salvage.carried_tables import CARRIED
from tests.support.sample_shop import DEVICE, NOON, code, deliver, open_at, order, redeemer

NEXT_STEP = (
    "INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('edge-scanner', '9999_future')"
)


def reopen(folder, **said):
    facts = {"device_id": DEVICE, "now_s": NOON.unix_s + 60, "random_bytes": os.urandom, **said}
    return open_store(folder, **facts)


@pytest.fixture
def used(tmp_path):
    """Return a folder whose store has one redemption, and its code."""
    folder, claims = tmp_path / "data", code()
    store = open_at(folder)
    deliver(store, order(claims))
    assert redeemer(store).redeem(claims, NOON).is_accepted
    store.close()
    return folder, claims


def assert_redeemed(store, claims):
    deliver(store, order(claims))
    assert redeemer(store).redeem(claims, NOON).reason is Verdict.ALREADY_REDEEMED


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def failing(name, number):
    error = sqlite3.OperationalError(f"as if {name}")
    error.sqlite_errorname, error.sqlite_errorcode = name, number
    return error


@pytest.mark.parametrize(
    "error",
    [
        failing("SQLITE_IOERR_READ", 266),
        failing("SQLITE_CANTOPEN", 14),
        failing("SQLITE_FULL", 13),
        failing("SQLITE_READONLY", 8),
        failing("SQLITE_BUSY", 5),
        failing("SQLITE_PERM", 3),
        MemoryError(),
        OSError(errno.EMFILE, "Too many open files"),
        StoreUnavailableError("the store cannot be read (error code=266)"),
    ],
    ids=lambda error: getattr(error, "sqlite_errorname", type(error).__name__),
)
@pytest.mark.parametrize("newer", [False, True], ids=["sound", "of a newer program"])
@pytest.mark.parametrize("step", ["migrate", "damage_in", "read_remains", "carry_over"])
def test_a_failure_of_the_world_leaves_the_store_where_it_is(used, step, newer, error, monkeypatch):
    folder, claims = used
    if newer:
        with sqlite3.connect(folder / FILE) as connection:
            connection.execute(NEXT_STEP)
    before = names(folder)

    def fail(*_, **__):
        raise error

    home = {"read_remains": "opening", "carry_over": "making"}.get(step, "database.examination")
    with monkeypatch.context() as patch:
        patch.setattr(f"edge.store.{home}.{step}", fail)
        opened = reopen(folder)
    reached = {"migrate": True, "damage_in": not newer}.get(step, newer)
    assert (opened.state is StoreState.UNAVAILABLE) == reached
    if reached:
        assert names(folder) == before
        assert (str(error) or "out of memory") in opened.detail
    assert_redeemed(opened.store or reopen(folder).store, claims)


@pytest.mark.parametrize(
    "finding",
    [
        "*** in database main ***\nTree 9 page 9: unable to get the page. error code=266",
        "*** in database main ***\nTree 9 page 9: btreeInitPage() returns error code 7",
        "*** in database main ***\nFreelist: failed to get page 12",
    ],
)
def test_a_page_that_the_check_could_not_read_is_not_a_damaged_page(finding):
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("finding", 0, lambda: finding)

        class Checking:
            def execute(self, _):
                return connection.execute("SELECT finding()")

        with pytest.raises(StoreUnavailableError):
            integrity.damage_in(Checking(), ("ledger",))


def test_a_page_that_the_check_finds_broken_is_damage():
    finding = "*** in database main ***\nTree 9 page 9: btreeInitPage() returns error code 11"

    class Checking:
        def execute(self, _):
            return [(finding,)]

    assert integrity.damage_in(Checking(), ("ledger",)) == finding


def test_damage_that_a_second_connection_does_not_see_is_no_damage(used, monkeypatch):
    folder, claims = used
    seen = []

    def damaged_once(connection, tables):
        seen.append(connection)
        return "Tree 9 page 9" if len(seen) == 1 else None

    monkeypatch.setattr(examination, "damage_in", damaged_once)
    opened = reopen(folder)
    assert opened.state is StoreState.READY
    assert len(set(map(id, seen))) == 2
    assert_redeemed(opened.store, claims)


def keep_only_the_log(folder):
    """Have a store whose every page is in its log alone, as if nothing was ever moved from it."""
    store = folder / FILE
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("VACUUM")
        shutil.copy(f"{store}-wal", folder / "log")
    (folder / "log").rename(f"{store}-wal")


@pytest.mark.parametrize("main", ["empty", "missing"])
def test_a_log_that_holds_everything_is_read_although_its_main_file_is_gone(used, main):
    folder, claims = used
    keep_only_the_log(folder)
    (folder / FILE).unlink()
    if main == "empty":
        (folder / FILE).touch()
    opened = reopen(folder)
    assert opened.state is StoreState.READY
    assert_redeemed(opened.store, claims)


def test_reading_a_store_whose_main_file_is_empty_leaves_its_log(used):
    folder, _ = used
    keep_only_the_log(folder)
    (folder / FILE).write_bytes(b"")
    with pytest.raises(StoreUnavailableError, match="is empty"):
        open_for_reading(folder)
    assert (folder / f"{FILE}-wal").stat().st_size > 4096


def test_no_connection_makes_a_store_that_is_missing(tmp_path):
    with pytest.raises(StoreUnavailableError):
        connect(tmp_path / FILE)
    assert names(tmp_path) == []


def test_a_store_that_is_missing_beside_one_that_was_put_aside_takes_what_that_one_holds(used):
    folder, claims = used
    (folder / FILE).rename(folder / f"{FILE}.1700000000.newer")
    opened = reopen(folder)
    assert opened.state is StoreState.QUARANTINED
    assert "1 redemptions were carried over" in opened.detail
    assert_redeemed(opened.store, claims)


def test_a_store_of_another_device_that_was_put_aside_gives_nothing_to_this_one(used):
    folder, _ = used
    (folder / FILE).rename(folder / f"{FILE}.1700000000.newer")
    opened = reopen(folder, device_id="kiosk-2")
    assert opened.state is StoreState.NEW
    assert ledger.rows(opened.store) == []


def test_a_damaged_store_is_completed_from_the_one_that_was_put_aside_before_it(used):
    folder, claims = used
    shutil.copy(folder / FILE, folder / f"{FILE}.1700000000.newer")
    (folder / FILE).write_bytes(b"not a database at all " * 400)
    opened = reopen(folder)
    assert opened.state is StoreState.QUARANTINED
    assert_redeemed(opened.store, claims)
    assert len(outbox.pending(opened.store)) == 1


def test_a_link_to_a_disk_that_is_not_there_is_no_first_start(used, tmp_path):
    folder, _ = used
    shutil.move(folder / FILE, tmp_path / "card")
    (folder / FILE).symlink_to(tmp_path / "not mounted")
    assert reopen(folder).state is StoreState.UNAVAILABLE
    shutil.move(tmp_path / "card", tmp_path / "not mounted")
    assert reopen(folder).state is StoreState.READY


def test_a_store_made_by_an_opening_that_was_cut_is_not_used_later(used):
    folder, _ = used
    open_at(folder / "other").close()
    (folder / "other" / FILE).rename(folder / f"{FILE}.new")
    assert reopen(folder).state is StoreState.READY
    assert not StoreFiles(folder).has_making()


def test_another_process_that_hangs_while_it_opens_the_store_does_not_hang_this_one(used):
    folder, _ = used
    with (folder / LOCK).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        opened = reopen(folder, busy_timeout_s=0.05)
    assert opened.state is StoreState.UNAVAILABLE
    assert "another process" in opened.detail
    assert reopen(folder).state is StoreState.READY


def test_a_failed_opening_holds_no_descriptor(used, monkeypatch):
    folder, _ = used
    (folder / f"{FILE}-wal").mkdir()  # SQLITE_CANTOPEN, as long as it is there

    def opened():
        assert reopen(folder).state is StoreState.UNAVAILABLE
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    assert opened() == opened()
    (folder / f"{FILE}-wal").rmdir()
    assert reopen(folder).state is StoreState.READY


def test_no_memory_is_a_failure_of_the_world_in_a_transaction_too(used):
    store = open_at(used[0])
    with pytest.raises(StoreUnavailableError, match="out of memory"), store.transaction():
        raise MemoryError
    assert explain(ValueError()) is None


def test_the_mark_of_a_suspect_store_is_whole_and_readable(used):
    folder, _ = used
    store = open_at(folder)
    with pytest.raises(StoreUnavailableError), store.transaction():
        raise failing("SQLITE_CORRUPT", 11)
    assert "SQLITE_CORRUPT" in (folder / SUSPECT).read_text()
    assert [name for name in names(folder) if name.endswith(".new")] == []


def test_every_column_that_is_carried_is_one_of_the_schema(tmp_path):
    connection = open_at(tmp_path).connection()
    for table in CARRIED:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")}
        assert set(table.columns) <= columns, table.name


def test_each_step_of_a_replacement_is_on_disk_before_the_next(used, monkeypatch):
    folder, _ = used
    running = open_at(folder)  # keeps the log and its index
    with running.transaction() as connection:
        connection.execute(NEXT_STEP)
    steps, rename, fsync = [], Path.rename, os.fsync

    def renaming(path, to):
        steps.append(f"{path.name} renamed")
        return rename(path, to)

    def syncing(descriptor):
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append("folder on disk" if file == folder else f"{file.name} on disk")
        fsync(descriptor)

    monkeypatch.setattr(Path, "rename", renaming)
    monkeypatch.setattr(os, "fsync", syncing)
    opened = reopen(folder)
    assert opened.state is StoreState.QUARANTINED, opened.detail
    assert steps == [
        "folder on disk",  # the new store is whole
        f"{FILE} renamed",
        "folder on disk",
        f"{FILE}-wal renamed",
        f"{FILE}-shm renamed",
        "folder on disk",
        f"{FILE}.new renamed",
        "folder on disk",
    ]


def test_a_schema_that_was_not_read_once_leaves_the_new_store_after_a_cut(used, monkeypatch):
    folder, claims = used
    (folder / FILE).rename(folder / f"{FILE}.new")
    (folder / f"{FILE}.1700000000.newer").write_bytes(b"put aside")
    real, tries = making.connect, []

    def corrupt_once(path, **said):
        tries.append(path)
        if len(tries) == 1:
            raise failing("SQLITE_CORRUPT", 11)
        return real(path, **said)

    monkeypatch.setattr(making, "connect", corrupt_once)
    opened = reopen(folder)
    assert opened.state is StoreState.READY
    assert_redeemed(opened.store, claims)


def test_a_store_that_cannot_be_written_is_closed_again(used, monkeypatch):
    folder, _ = used
    closed = []

    def close(store):
        closed.append(store)

    monkeypatch.setattr(Store, "transaction", lambda _: fail_with("SQLITE_READONLY", 8))
    monkeypatch.setattr(Store, "close", close)
    assert reopen(folder).state is StoreState.UNAVAILABLE
    assert len(closed) == 1


def fail_with(name, number):
    raise failing(name, number)
