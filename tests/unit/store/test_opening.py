"""The device always boots: with a broken, foreign, full or newer store, too (law 6)."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from edge.domain.verdict import Verdict
from edge.store import exception_cases, ledger, opening, outbox, reviews
from edge.store.database import migration
from edge.store.database.store import (
    FILE,
    LOCK,
    SUSPECT,
    StoreUnavailableError,
    quarantines,
)
from edge.store.database.store_files import StoreFiles
from edge.store.ledger_restore import CLOCK_MARGIN_S, bound_loss
from edge.store.opening import StoreState, open_store
from tests.support.ordinary_user import ordinary_user
from tests.support.sample_shop import DEVICE, NOON, code, deliver, open_at, order, redeemer

FROM_THE_FUTURE = (
    "INSERT INTO _sqlite_migrations (migration_set, name)"
    f" VALUES ('{migration.SET}', '9999_future')"
)


def reopen(folder, device_id=DEVICE, now_s=NOON.unix_s + 60):
    return open_store(folder, device_id=device_id, now_s=now_s, random_bytes=os.urandom)


@pytest.fixture
def used(tmp_path):
    """Return a folder whose store has one redemption, and its code."""
    store, claims = open_at(tmp_path), code()
    deliver(store, order(claims))
    assert redeemer(store).redeem(claims, NOON).is_accepted
    store.close()
    return tmp_path, claims


def test_a_first_start_makes_a_store_with_an_epoch_of_its_own(tmp_path):
    first, second = open_at(tmp_path / "a"), open_at(tmp_path / "b")
    assert outbox.current_epoch(first)[0] != outbox.current_epoch(second)[0]
    assert len(outbox.current_epoch(first)[0]) == 16


def test_every_connection_is_durable_and_checks_its_references(tmp_path):
    connection = open_at(tmp_path).connection()
    pragmas = [
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys")
    ]
    assert pragmas == ["wal", 2, 1]  # 2 is FULL


def test_a_second_start_finds_everything(used):
    folder, claims = used
    opened = reopen(folder)
    assert opened.state is StoreState.READY
    assert [row.cti for row in ledger.rows(opened.store)] == [claims.cti]


def nonsense(path):
    path.write_bytes(b"not a database at all " * 400)


def emptied(path):
    path.write_bytes(b"")


def a_folder(path):
    path.unlink()
    path.mkdir()


def of_another_program(path):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")


@pytest.mark.parametrize("breaking", [nonsense, emptied, a_folder, of_another_program])
def test_a_store_that_cannot_be_read_is_put_aside_with_its_files_and_the_device_starts_degraded(
    used, breaking
):
    folder, _ = used
    breaking(folder / FILE)
    opened = reopen(folder)
    assert opened.state is StoreState.QUARANTINED
    assert opened.quarantined.exists()
    assert opened.quarantined.name in opened.detail
    assert {case.kind.value for case in exception_cases.cases(opened.store)} == {"system_fault"}
    bound_loss(opened.store, NOON)
    old, new = code(issued_at_s=NOON.unix_s - 60), code(issued_at_s=NOON.unix_s + CLOCK_MARGIN_S)
    deliver(opened.store, order(old), order(new))
    clerk = redeemer(opened.store)
    assert clerk.redeem(old, NOON).reason is Verdict.NEEDS_ONLINE, "it may have been redeemed"
    assert clerk.redeem(new, NOON).is_accepted, "it scans"


def test_a_torn_page_in_the_ledger_is_noticed_at_the_start(used):
    folder, _ = used
    with sqlite3.connect(folder / FILE) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ledger'"
        ).fetchone()
    with (folder / FILE).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\x00" * 4096)
    assert reopen(folder).state is StoreState.QUARANTINED


def test_a_page_found_torn_while_scanning_is_checked_at_the_next_start(used):
    folder, _ = used
    with sqlite3.connect(folder / FILE) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'entitlement'"
        ).fetchone()
    with (folder / FILE).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    opened = reopen(folder)
    assert opened.state is StoreState.READY, "the cache is too large to be read at every start"
    outcome = redeemer(opened.store).redeem(code(), NOON)
    assert outcome.reason is Verdict.STORE_UNAVAILABLE
    assert (folder / SUSPECT).exists()
    opened.store.close()
    assert reopen(folder).state is StoreState.QUARANTINED
    assert not (folder / SUSPECT).exists()


def test_a_bit_that_fell_in_the_schema_costs_no_redemption(used):
    folder, claims = used
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = (folder / FILE).read_bytes()
    broken = content.replace(b"CREATE TABLE ledger (", b"CREATE TABLE ledger \x08")
    assert broken != content
    (folder / FILE).write_bytes(broken)
    opened = reopen(folder)
    assert opened.state is StoreState.QUARANTINED
    assert [row.cti for row in ledger.rows(opened.store)] == [claims.cti]
    assert len(outbox.pending(opened.store)) == 1


def test_a_text_that_is_no_utf8_is_read_off_its_page_at_the_next_start(used):
    folder, claims = used
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute(
            "UPDATE ledger SET trust = CAST(x'ff' || substr(CAST(trust AS BLOB), 2) AS TEXT)"
        )
        connection.commit()
    opened = reopen(folder)
    assert opened.state is StoreState.READY, "SQLite's own check sees nothing"
    with pytest.raises(StoreUnavailableError), opened.store.read() as connection:
        connection.execute("SELECT trust FROM ledger").fetchall()
    opened.store.close()
    opened = reopen(folder)
    assert opened.state is StoreState.QUARANTINED
    assert [row.cti for row in ledger.rows(opened.store)] == [claims.cti]
    deliver(opened.store, order(claims))
    verdict = redeemer(opened.store).redeem(claims, NOON).reason
    assert verdict is Verdict.ALREADY_REDEEMED


def test_a_redeemed_code_stays_redeemed_after_the_store_was_quarantined(used):
    folder, claims = used
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute(FROM_THE_FUTURE)
    opened = reopen(folder)
    assert opened.state is StoreState.QUARANTINED
    assert "newer" in opened.detail
    deliver(opened.store, order(claims))
    assert redeemer(opened.store).redeem(claims, NOON).reason is Verdict.ALREADY_REDEEMED


def test_an_unsent_event_is_sent_from_the_new_store_under_its_old_epoch_and_seq(used):
    folder, _ = used
    store = open_at(folder)
    (event,) = outbox.pending(store)
    store.connection().execute(FROM_THE_FUTURE)
    store.close()
    after = reopen(folder).store
    assert outbox.pending(after) == [event]
    assert outbox.current_epoch(after)[0] != event.epoch
    assert (
        outbox.acknowledge(after, epoch=event.epoch, through_seq=event.seq)
        is outbox.AcknowledgeResult.ACKNOWLEDGED
    )
    assert outbox.pending(after) == []


def test_what_waits_for_a_second_person_still_waits_in_the_new_store(tmp_path):
    store, claims = open_at(tmp_path), code()
    deliver(store, order(claims, review=True))
    assert redeemer(store).redeem(claims, NOON).reason is Verdict.ACCEPTED_PENDING_REVIEW
    before = reviews.reviews(store)
    store.connection().execute(FROM_THE_FUTURE)
    store.close()
    assert reviews.reviews(reopen(tmp_path).store) == before != []


def test_a_start_under_another_device_id_changes_nothing_and_redeems_nothing(used):
    folder, claims = used
    before = sorted(path.name for path in folder.iterdir())
    opened = reopen(folder, device_id="kiosk-2")
    assert opened.state is StoreState.UNAVAILABLE
    assert opened.store is None
    assert f"the store is of device {DEVICE}, this is kiosk-2" in opened.detail
    assert "profile" in opened.detail
    assert sorted(path.name for path in folder.iterdir()) == before
    back = reopen(folder)
    assert back.state is StoreState.READY
    assert len(outbox.pending(back.store)) == 1, "the event still waits for the platform"
    deliver(back.store, order(claims))
    assert redeemer(back.store).redeem(claims, NOON).reason is Verdict.ALREADY_REDEEMED


def test_a_store_with_only_an_unsent_event_is_not_replaced_by_another_device_id_either(tmp_path):
    store = open_at(tmp_path)
    with store.transaction() as connection:
        outbox.append(connection, type="refused", body={}, now=NOON, id="1")
    store.close()
    assert reopen(tmp_path, device_id="kiosk-2").state is StoreState.UNAVAILABLE
    store = open_at(tmp_path)
    outbox.acknowledge(store, epoch=outbox.current_epoch(store)[0], through_seq=1)
    store.close()
    assert reopen(tmp_path, device_id="kiosk-2").state is StoreState.QUARANTINED


def test_a_store_that_was_never_used_makes_way_for_the_name_that_its_device_is_given(tmp_path):
    open_at(tmp_path, device_id="factory").close()
    opened = reopen(tmp_path)
    assert opened.state is StoreState.QUARANTINED
    assert opened.quarantined.exists()
    assert "factory" in opened.detail
    opened.store.close()
    assert reopen(tmp_path).state is StoreState.READY


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_every_file_of_a_quarantined_store_stays(used, suffix):
    folder, _ = used
    store = open_at(folder)  # leaves -wal and -shm while it is open
    with store.transaction() as connection:
        connection.execute(FROM_THE_FUTURE)
    before = (folder / (FILE + suffix)).stat().st_ino
    aside = reopen(folder).quarantined
    assert aside.with_name(aside.name + suffix).stat().st_ino == before


def test_a_process_that_still_holds_a_quarantined_store_writes_nothing_more_into_it(used):
    folder, _ = used
    old = open_at(folder)
    deliver(old, order(claims := code()))
    with old.transaction() as connection:
        connection.execute(FROM_THE_FUTURE)
    reopen(folder)
    outcome = redeemer(old).redeem(claims, NOON)
    assert outcome.reason is Verdict.STORE_UNAVAILABLE
    assert "replaced" in outcome.detail


@pytest.mark.parametrize("moment", ["read_remains", "make_store", "put_aside"])
def test_a_redemption_that_a_running_scanner_accepts_during_a_quarantine_is_in_the_new_store(
    used, moment, monkeypatch
):
    folder, _ = used
    running = open_at(folder)
    deliver(running, order(claims := code()))
    with running.transaction() as connection:
        connection.execute(FROM_THE_FUTURE)
    owner = StoreFiles if moment == "put_aside" else opening
    real, outcomes = getattr(owner, moment), []

    def scan_and_go_on(*given, **named):
        outcomes.append(redeemer(running).redeem(claims, NOON))
        return real(*given, **named)

    monkeypatch.setattr(owner, moment, scan_and_go_on)
    after = reopen(folder).store
    assert len(outcomes) == 1
    kept = {row.cti for row in ledger.rows(after)}
    assert not outcomes[0].is_accepted or claims.cti in kept


@pytest.mark.parametrize("cut", ["before the old one is moved", "after the old one is moved"])
def test_a_power_cut_in_the_middle_of_a_quarantine_loses_nothing(used, cut, monkeypatch):
    folder, claims = used
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute(FROM_THE_FUTURE)

    class PowerCut(BaseException):
        pass

    def cut_power(*_):
        raise PowerCut

    name = "put_aside" if cut.startswith("before") else "put_in_place"
    with monkeypatch.context() as patch:
        patch.setattr(StoreFiles, name, cut_power)
        with pytest.raises(PowerCut):
            reopen(folder)
    store = reopen(folder).store
    assert [row.cti for row in ledger.rows(store)] == [claims.cti]


def test_what_a_forgotten_log_holds_is_carried_into_a_new_store_and_not_replayed_into_it(used):
    folder, _ = used
    store = open_at(folder)
    with store.transaction() as connection:
        connection.execute("UPDATE device SET blocked = 'from the old log'")
    (folder / FILE).unlink()
    new = open_at(folder)
    blocked = new.connection().execute("SELECT blocked FROM device").fetchone()
    assert blocked == ("from the old log",)
    assert new.connection().execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_byte_that_counts_quarantines_has_its_block_before_it_is_written_to(tmp_path):
    quarantines(tmp_path).close()
    assert (tmp_path / LOCK).stat().st_blocks > 0


FULL_DISK = """
import sys
from pathlib import Path
from edge.store.database.store import quarantines
(Path(sys.argv[1]) / "store.lock").touch()
with (Path(sys.argv[1]) / "fill").open("wb", buffering=0) as fill:
    try:
        while fill.write(bytes(4096)):
            pass
    except OSError:
        pass
try:
    with quarantines(Path(sys.argv[1])) as count:
        count[0] += 1
except OSError as error:
    print(error)
"""


def in_a_small_file_system(folder, command):
    """Run ``command`` with a 64 KiB file system at ``folder``; skip where that is forbidden."""
    mount = 'mount -t tmpfs -o size=64k tmpfs "$0" 2>/dev/null || exit 99; exec "$@"'
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, folder, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode in (1, 99) and not done.stdout and "Traceback" not in done.stderr:
        pytest.skip("this user may not mount a file system of its own")
    return done


def test_a_full_disk_at_the_start_is_an_error_and_not_the_end_of_the_process(tmp_path):
    done = in_a_small_file_system(tmp_path, [sys.executable, "-c", FULL_DISK, tmp_path])
    assert done.returncode == 0, f"ended by signal {-done.returncode}"
    assert "No space left" in done.stdout


def test_a_folder_that_cannot_be_written_is_a_state_with_a_name():
    with ordinary_user() as folder:
        folder.chmod(0o500)
        opened = reopen(folder)
    assert opened.state is StoreState.UNAVAILABLE
    assert opened.store is None


def test_a_data_folder_that_is_a_file_is_a_state_with_a_name(tmp_path):
    (tmp_path / "data").write_text("")
    assert reopen(tmp_path / "data").state is StoreState.UNAVAILABLE


def test_a_store_locked_by_another_for_too_long_is_unavailable_and_not_put_aside(used):
    folder, _ = used
    with sqlite3.connect(folder / FILE, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        opened = open_store(
            folder,
            device_id=DEVICE,
            now_s=NOON.unix_s,
            random_bytes=os.urandom,
            busy_timeout_s=0.05,
        )
        assert opened.state is StoreState.UNAVAILABLE
        other.execute("ROLLBACK")
    assert reopen(folder).state is StoreState.READY


def test_a_later_step_changes_the_tables_and_keeps_the_rows(used):
    folder, _ = used
    later = ("9999_later", "ALTER TABLE ledger ADD COLUMN later INTEGER NOT NULL DEFAULT 7;\n")
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as connection:
        for _ in range(2):
            migration.migrate(connection, (*migration.STEPS, later))
        assert connection.execute("SELECT use_no, later FROM ledger").fetchall() == [(1, 7)]
        with pytest.raises(migration.NewerSchemaError, match="9999_later"):
            migration.migrate(connection)


def test_a_migration_that_fails_leaves_the_schema_as_it_was(tmp_path):
    open_at(tmp_path).close()
    broken = (
        *migration.STEPS,
        (
            "0999_broken",
            "CREATE TABLE extra (x INTEGER) STRICT;\nINSERT INTO nowhere VALUES (1);\n",
        ),
    )
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migration.migrate(connection, broken)
        assert (
            connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'extra'").fetchone()
            is None
        )
    assert reopen(tmp_path).state is StoreState.READY


def test_the_time_floor_of_a_quarantined_store_is_carried_over_and_not_derived_from_redemptions(
    used,
):
    folder, _ = used
    store = open_at(folder)
    with store.transaction() as connection:
        connection.execute("UPDATE device SET time_floor_s = 700")
        connection.execute(FROM_THE_FUTURE)
    store.close()
    opened = open_store(
        folder, device_id=DEVICE, now_s=NOON.unix_s, random_bytes=os.urandom, floor_s=500
    )
    assert opened.state is StoreState.QUARANTINED
    assert opened.store.connection().execute("SELECT time_floor_s FROM device").fetchone() == (700,)


def test_the_time_floor_is_never_below_the_build(tmp_path):
    store = open_at(tmp_path, floor_s=500)
    assert store.connection().execute("SELECT time_floor_s FROM device").fetchone() == (500,)
    store.close()
    store = open_at(tmp_path, floor_s=400)
    assert store.connection().execute("SELECT time_floor_s FROM device").fetchone() == (500,)
