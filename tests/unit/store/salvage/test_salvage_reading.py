"""The store's file is read as SQLite writes it; what is no store's is read as nothing."""

import os
import random
import shutil
import sqlite3
import struct
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.store.database.store import FILE, StoreUnavailableError
from edge.store.opening import StoreState
from edge.store.salvage.carried_tables import CARRIED, table_named
from edge.store.salvage.gathered_rows import Evidence, GatheredRows
from edge.store.salvage.log_frames import checksum, read_log
from edge.store.salvage.page_images import PageImages, lost_commits
from edge.store.salvage.page_reader import PageReader
from edge.store.salvage.records import read_record, read_varint
from edge.store.salvage.remains import read_remains
from edge.store.salvage.tree_pages import PageKind, read_page
from tests.support.broken_stores import start
from tests.support.used_device import UsedDevice


def written(folder, rows, *, without_rowid, page_size=4096):
    """Write rows of every type into a table; return the file."""
    path = folder / "written.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA page_size = {page_size}")
        kind = "TEXT PRIMARY KEY" if without_rowid else "TEXT"
        end = ", WITHOUT ROWID" if without_rowid else ""
        connection.execute(f"CREATE TABLE t (a {kind}, b BLOB, c INTEGER, d REAL) STRICT{end}")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    return path


def read_off(path):
    """Return every record of four values that stands in a leaf or an inner page."""
    found = []
    with PageImages(path) as images:
        for number in range(2, images.count + 1):
            data = images.current(number)
            for kind in PageKind:
                if data[0] == kind and kind.has_rows:
                    page = read_page(data, kind, number=number)
                    found += [read_record(images.payload(cell)) for cell in page.cells]
    return [tuple(each) for each in found if len(each) == 4]


VALUES = st.tuples(
    st.text(max_size=40),
    st.none() | st.binary(max_size=40) | st.integers(900, 9000).map(os.urandom),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False),
)


@pytest.mark.parametrize("without_rowid", [False, True])
@given(
    rows=st.lists(VALUES, max_size=40, unique_by=lambda row: row[0]),
    size=st.sampled_from([512, 4096, 65536]),
)
def test_every_row_is_read_as_it_was_written(tmp_path_factory, rows, without_rowid, size):
    folder = tmp_path_factory.getbasetemp()
    path = written(folder, rows, without_rowid=without_rowid, page_size=size)
    assert sorted(read_off(path), key=repr) == sorted(rows, key=repr)


def test_the_pages_of_a_whole_store_have_every_row_of_every_carried_table(tmp_path):
    UsedDevice(tmp_path)
    with closing(GatheredRows()) as gathered, PageImages(tmp_path / FILE) as images:
        reader = PageReader(images, gathered)
        reader.read(())
        assert reader.damaged == set()
        with closing(sqlite3.connect(tmp_path / FILE)) as connection:
            for table in CARRIED:
                columns = ", ".join(table.columns)
                query = f"SELECT {columns} FROM {table.name} ORDER BY {', '.join(table.key)}"
                found = [row[:-1] for row in gathered.rows(table)]
                assert found == connection.execute(query).fetchall(), table.name


def test_a_newer_version_whose_content_is_lost_counts_before_an_older_whole_one():
    document = table_named("document")
    with closing(GatheredRows()) as gathered:
        gathered.add_part(document, {"name": "trust_list", "version": 7})
        older = ("trust_list", 6, 60, 61, b"six")
        gathered.add(document, document.columns, [older], Evidence.EARLIER)
        assert list(gathered.rows(document)) == [("trust_list", 7, 0, 0, b"", Evidence.PART)]


def test_a_checksum_is_the_one_that_sqlite_computes():
    data, seed = os.urandom(4104), (3, 2**32 - 1)
    first, second = seed
    for at in range(0, len(data), 8):
        one, two = struct.unpack("<II", data[at : at + 8])
        first = first + one + second & 0xFFFFFFFF
        second = second + two + first & 0xFFFFFFFF
    assert checksum(data, seed) == (first, second)


@pytest.fixture
def log(tmp_path):
    """Return a store's path whose log has five transactions, of two frames each."""
    connection = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a)")
    connection.execute("CREATE TABLE u (a)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(5):
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        connection.execute("INSERT INTO u VALUES (?)", (number,))
        connection.execute("COMMIT")
    yield tmp_path / FILE
    connection.close()


@pytest.mark.parametrize(
    ("frame", "lost"),
    [
        pytest.param(0, True, id="in the first transaction"),
        pytest.param(6, True, id="in the last but one"),
        pytest.param(8, False, id="in the last: a power cut does that"),
        pytest.param(9, False, id="the last commit"),
    ],
)
def test_a_damaged_frame_loses_transactions_when_later_ones_were_committed(log, frame, lost):
    path = log.with_name(f"{FILE}-wal")
    content = bytearray(path.read_bytes())
    assert len(content) == 32 + 10 * (24 + 4096)
    assert not lost_commits(log)
    content[32 + frame * (24 + 4096) + 500] ^= 1
    path.write_bytes(content)
    assert lost_commits(log) is lost


def test_frames_without_a_commit_behind_them_are_not_taken(log):
    content = log.with_name(f"{FILE}-wal").read_bytes()
    assert len(read_log(content, 4096).current) == 10
    assert len(read_log(content[: -4096 - 24], 4096).current) == 8


def test_a_log_without_its_header_is_read_all_the_same(log):
    content = log.with_name(f"{FILE}-wal").read_bytes()
    frames = read_log(bytes(32) + content[32:], 4096)
    assert len(frames.current) == 9, "the first one's checksum begins in the header"
    assert frames.lost


@given(data=st.binary(max_size=200))
def test_bytes_that_are_no_record_are_refused(data):
    try:
        read_record(data)
        read_varint(data, 0)
    except (ValueError, IndexError):
        pass


@given(data=st.binary(min_size=512, max_size=512), kind=st.sampled_from(PageKind))
def test_bytes_that_are_no_page_give_no_error(data, kind):
    read_page(data, kind, number=2)


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(20), id="20"),
        pytest.param(range(20, 2000), id="2000", marks=pytest.mark.slow),
    ],
)
def test_whatever_a_stores_file_holds_the_device_starts_with_a_sound_one(tmp_path, seeds):
    path = UsedDevice(tmp_path).folder / FILE
    whole = path.read_bytes()
    for seed in seeds:
        rng, content = random.Random(seed), bytearray(whole)
        for _ in range(rng.choice([1, 20, 400, 3000])):
            at, size = rng.randrange(len(content)), rng.choice([1, 2, 64, 4096])
            content[at : at + size] = rng.randbytes(len(content[at : at + size]))
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / FILE).write_bytes(content[: rng.choice([len(content), len(content) // 2, 5000])])
        opened = start(folder)
        assert opened.store is not None, (seed, opened.detail)
        if opened.state is StoreState.QUARANTINED:
            connection = opened.store.connection()
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), seed
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == [], seed
        opened.store.close()
        shutil.rmtree(folder)


def test_a_file_that_cannot_be_read_is_no_empty_store(tmp_path, monkeypatch):
    UsedDevice(tmp_path)

    def fails(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(PageImages, "current", fails)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-4096])
    with pytest.raises(StoreUnavailableError, match="Input/output error"):
        read_remains(tmp_path / FILE)


def test_a_table_is_damaged_when_no_row_of_a_page_can_be_read(tmp_path):
    UsedDevice(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("UPDATE ledger SET trust = CAST(x'ff' AS TEXT)")  # on its only page
        connection.commit()
    with closing(read_remains(tmp_path / FILE)) as remains:
        assert "ledger" in remains.damaged
