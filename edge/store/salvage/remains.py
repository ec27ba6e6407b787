"""Read what can still be read of a broken store: through SQLite, then off its pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from edge.store.database.store import FAILURES, StoreUnavailableError, connect, explain
from edge.store.salvage.carried_tables import CARRIED, CarriedTable
from edge.store.salvage.gathered_rows import Evidence, GatheredRows
from edge.store.salvage.page_images import PageImages, lost_commits
from edge.store.salvage.page_reader import PageReader

_ALL = frozenset(table.name for table in CARRIED)


class SalvagedRows:
    """What was read of a broken store. The caller closes it."""

    def __init__(self) -> None:
        self.gathered = GatheredRows()
        self.damaged: frozenset[str] = frozenset()  # tables that may lack rows
        self.doubtful = False  # rows may be older than they look: part of the log is lost

    def close(self) -> None:
        """Forget the rows."""
        self.gathered.close()


def read_remains(main: Path | None, earlier: Sequence[Path] = ()) -> SalvagedRows:
    """Read what is left of the store ``main``, which no process changes any more.

    None: it is missing, or no file. ``earlier`` are stores that were put aside before it, the
    newest first: what it has lost may still be in one of them.

    Damage in a file is what this is for. Raises StoreUnavailableError when a file, or what was read
    of it, cannot be read for another reason: then no one knows what it holds.
    """
    remains = SalvagedRows()
    try:
        if main is not None:
            _read_store(main, remains)
        elif earlier:
            remains.damaged = _ALL
        for path in earlier if remains.damaged else ():
            _read_earlier(path, remains)
    except BaseException as error:
        remains.close()
        if isinstance(error, OSError):
            raise StoreUnavailableError(f"the store cannot be read ({main}: {error})") from error
        if isinstance(error, FAILURES):
            raise explain(error) or error from error
        raise
    return remains


def _read_store(path: Path, remains: SalvagedRows) -> None:
    complete = _read_tables(path, remains.gathered)
    if complete == _ALL:
        return
    with PageImages(path) as images:
        reader = PageReader(images, remains.gathered)
        reader.read(complete)
        remains.damaged = _ALL if images.log.lost else frozenset(reader.damaged)
        remains.doubtful = images.log.lost


def _read_earlier(path: Path, remains: SalvagedRows) -> None:
    """Add what an earlier store has of the damaged tables."""
    with closing(SalvagedRows()) as before:
        _read_store(path, before)
        for table in CARRIED:
            if table.name in remains.damaged:
                rows = (row[:-1] for row in before.gathered.rows(table))
                remains.gathered.add(table, table.columns, rows, Evidence.EARLIER)


def _read_tables(path: Path, gathered: GatheredRows) -> frozenset[str]:
    """Add the tables that SQLite reads and finds whole; return their names.

    None is, where the log lost transactions: what SQLite takes for current is older than those.
    """
    if lost_commits(path):
        return frozenset()
    whole = set()
    try:
        with closing(connect(path, read_only=True)) as old:
            if old.execute("SELECT 1 FROM device").fetchone() is None:
                return frozenset()
            for table in CARRIED:
                if _read_table(old, table, gathered):
                    whole.add(table.name)
                else:
                    gathered.clear(table)
    except FAILURES as error:
        if not _is_damage(error):
            raise
        for table in CARRIED:
            gathered.clear(table)
        return frozenset()
    return frozenset(whole)


def _read_table(old: sqlite3.Connection, table: CarriedTable, gathered: GatheredRows) -> bool:
    """Add the rows of a table; return whether they are certainly all, and as they were written.

    SQLite follows a broken chain of overflow pages without a word. So only a table counts whose
    pages and indexes it finds in order.
    """
    try:
        there = {row[1] for row in old.execute(f"PRAGMA table_info({table.name})")}
        if not set(table.key) <= there:
            return not there  # an older store has fewer tables
        columns = [name for name in table.columns if name in there]
        rows = old.execute(f"SELECT {', '.join(columns)} FROM {table.name}")
        gathered.add(table, columns, rows)
        (verdict,) = old.execute(f"PRAGMA integrity_check({table.name})").fetchone()
    except FAILURES as error:
        if not _is_damage(error):
            raise
        return False
    return bool(verdict == "ok")


def _is_damage(error: BaseException) -> bool:
    """Return whether the file's content is at fault, not the disk or another process."""
    unavailable = explain(error)
    return unavailable is None or unavailable.corrupt
