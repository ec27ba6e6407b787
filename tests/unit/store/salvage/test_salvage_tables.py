"""Each table and column of the store says what becomes of it when the store breaks."""

import sqlite3
from contextlib import closing

import pytest

from edge.store.database.schema import TABLES
from edge.store.salvage.carried_tables import CARRIED, NOT_CARRIED


def schema():
    """Return the columns of each table, and of its key, as the schema has them."""
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.executescript(TABLES)
        names = memory.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        return {
            name: memory.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
            for (name,) in names
        }


SCHEMA = schema()


def test_every_table_is_carried_or_says_why_not():
    carried = [table.name for table in CARRIED]
    assert sorted([*carried, *NOT_CARRIED]) == sorted(SCHEMA)
    assert all(table.how for table in CARRIED)
    assert all(NOT_CARRIED.values())


@pytest.mark.parametrize("table", CARRIED, ids=lambda table: table.name)
def test_every_column_of_a_carried_table_is_carried(table):
    assert sorted(table.columns) == sorted(name for name, _ in SCHEMA[table.name])
    assert set(table.key) == {name for name, pk in SCHEMA[table.name] if pk}
    assert set(table.substitutes) <= set(table.columns) - set(table.key)
