"""Bring a store's schema up to that of this program: a step happens whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edge.store.database.schema import STEPS
from edge.values.errors import EdgeError

if TYPE_CHECKING:
    import sqlite3

SET = "edge-scanner"
TABLE = "_sqlite_migrations"  # sqlite-utils' own name for it


def migrate(connection: sqlite3.Connection, steps: Sequence[tuple[str, str]] = STEPS) -> None:
    """Bring the schema up to that of this program, in one transaction.

    ``connection`` is in autocommit. Raises NewerSchemaError for a store that a newer program wrote,
    and changes nothing.
    """
    if is_current(connection, steps):
        return  # without the import below, which would slow the usual start
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    migrations = Migrations(SET)
    for name, script in steps:
        migrations(name=name)(_running(script))
    database = Database(connection, execute_plugins=False)
    connection.execute("BEGIN IMMEDIATE")  # two processes may start at once
    try:
        if unknown := {item.name for item in migrations.applied(database)} - {
            name for name, _ in steps
        }:
            raise NewerSchemaError(f"written by a newer program ({', '.join(sorted(unknown))})")
        migrations.apply(database)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_current(connection: sqlite3.Connection, steps: Sequence[tuple[str, str]] = STEPS) -> bool:
    """Return whether the schema is that of this program."""
    return _applied(connection) == [name for name, _ in steps]


def has_history(connection: sqlite3.Connection) -> bool:
    """Return whether a scanner's program has ever made tables here."""
    return bool(_applied(connection))


def lacks_tables(connection: sqlite3.Connection) -> bool:
    """Return whether tables may be missing: an older program wrote the file, or another one."""
    return not {name for name, _ in STEPS} <= set(_applied(connection))


class NewerSchemaError(EdgeError):
    """The store has migrations that this program does not know."""


def _applied(connection: sqlite3.Connection) -> list[str]:
    table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    if connection.execute(table, (TABLE,)).fetchone() is None:
        return []
    rows = connection.execute(
        f"SELECT name FROM {TABLE} WHERE migration_set = ? ORDER BY id",
        (SET,),
    )
    return [name for (name,) in rows]


def _running(script: str) -> Callable[[Any], None]:
    def run(database: Any) -> None:
        for statement in _statements(script):
            database.conn.execute(statement)

    return run


def _statements(script: str) -> list[str]:
    """Split at the semicolons that end a line; ``executescript`` would commit the transaction."""
    bare = "\n".join(line.split("--")[0].rstrip() for line in script.splitlines())
    return [statement for statement in bare.split(";\n") if statement.strip()]
