"""The shape of each table's and index's records, read off a schema: it tells whose row a record is.

A record has no name on it. Where the tree above a page is broken, only the number and the types of
its values say which table it belongs to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from typing import Any, Final, NamedTuple

from edge.store.database.schema import STEPS
from edge.store.salvage.records import Value

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "INTEGER": (int,),
    "INT": (int,),
    "TEXT": (str,),
    "BLOB": (bytes,),
    "REAL": (float, int),
}


class RecordColumn(NamedTuple):
    """One value of a record."""

    name: str
    types: tuple[type, ...]  # empty: any
    required: bool  # never null
    default: Value  # of rows that are older than the column


class Shape(NamedTuple):
    """The records of one tree. Those of an index are parts of its table's rows."""

    name: str
    table: str
    columns: tuple[RecordColumn, ...]
    rowid: str | None  # the column that the rowid stands for, which the record leaves empty
    by_rowid: bool  # a tree of a table with rowids
    root: int  # its first page; 0: not known

    @property
    def is_index(self) -> bool:
        """True for an index."""
        return self.name != self.table

    def row(
        self, rowid: int | None, values: Sequence[Value], *, cut: bool, loose: bool
    ) -> dict[str, Value] | None:
        """Return a record as a row by column; None when it is not of this shape.

        ``cut``: its end was lost. ``loose``: it is known to be of this tree, so it may be older
        than the last columns.
        """
        if (rowid is not None) is not self.by_rowid or len(values) > len(self.columns):
            return None
        if len(values) < len(self.columns) and not cut and not loose:
            return None
        row: dict[str, Value] = {}
        for column, value in zip(self.columns, values, strict=False):
            if self.by_rowid and column.name == self.rowid:
                if value is not None:
                    return None
                row[column.name] = rowid
            elif value is None:
                if column.required:
                    return None
                row[column.name] = None
            elif column.types and not isinstance(value, column.types):
                return None
            else:
                row[column.name] = value
        missing = self.columns[len(values) :]
        if not cut and any(column.required and column.default is None for column in missing):
            return None  # the header is damaged: it swallowed a value
        if not cut:
            row.update({column.name: column.default for column in missing})
        return row


def own_schema() -> list[str]:
    """Return the statements that make a store of this program."""
    with closing(sqlite3.connect(":memory:")) as memory:
        for _, script in STEPS:
            memory.executescript(script)
        return [sql for (sql,) in memory.execute("SELECT sql FROM sqlite_master WHERE sql != ''")]


def read_shapes(statements: Iterable[str], roots: dict[str, int]) -> list[Shape]:
    """Return the shapes that a schema's statements make. Statements that fail are left out.

    ``roots`` gives the first page of each tree by name, as far as they are known.
    """
    with closing(sqlite3.connect(":memory:")) as memory:
        for statement in sorted(statements, key=lambda sql: "INDEX" in sql[:20].upper()):
            if statement[:6].upper() == "CREATE":
                with suppress(sqlite3.Error):
                    memory.execute(statement)
        shapes = []
        for (table,) in memory.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall():
            shapes += _shapes_of(memory, table, roots)
        return shapes


def _shapes_of(memory: sqlite3.Connection, table: str, roots: dict[str, int]) -> list[Shape]:
    info = memory.execute("SELECT * FROM pragma_table_xinfo(?)", (table,)).fetchall()
    (without_rowid,) = memory.execute(
        "SELECT wr FROM pragma_table_list WHERE name = ?", (table,)
    ).fetchone()
    columns = [_column(memory, row) for row in info]
    keys = [row[0] for row in sorted(info, key=lambda row: row[5]) if row[5]]
    if without_rowid:
        rest = [row[0] for row in info if row[0] not in keys]
        columns_stored = tuple(columns[place] for place in (*keys, *rest))
        rowid = None
    else:
        columns_stored = tuple(columns)
        one_integer = len(keys) == 1 and info[keys[0]][2].upper() == "INTEGER"
        rowid = columns[keys[0]].name if one_integer else None
    shapes = [Shape(table, table, columns_stored, rowid, not without_rowid, roots.get(table, 0))]
    for _, index, _, origin, _ in memory.execute(
        "SELECT * FROM pragma_index_list(?)", (table,)
    ).fetchall():
        if origin == "pk" and without_rowid:
            continue  # the table itself
        parts = memory.execute("SELECT cid FROM pragma_index_xinfo(?)", (index,)).fetchall()
        stored = tuple(
            columns[cid] if cid >= 0 else RecordColumn(rowid or "rowid", (int,), True, None)
            for (cid,) in parts
        )
        shapes.append(Shape(index, table, stored, rowid, False, roots.get(index, 0)))
    return shapes


def _column(memory: sqlite3.Connection, row: tuple[Any, ...]) -> RecordColumn:
    _, name, kind, required, default, *_ = row
    value = None
    if default is not None:
        with suppress(sqlite3.Error):
            value = memory.execute(f"SELECT {default}").fetchone()[0]
    return RecordColumn(name, _TYPES.get(kind.upper(), ()), bool(required), value)
