"""Migrate the tables of the hub and of the fleet to the version of this program, step by step.

A step of the hub's is a pair of files in ``migrations``, one for each database; a step of the
fleet's is one file. It is never edited once it is released: a new step repairs it. The table
``migration`` names the steps that a store has.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

from sync.hub.store import incarnation_table
from sync.hub.store.interface import HubConnection, HubStoreError

Database = Literal["sqlite", "postgres", "fleet"]

NAMES: Final = ("0001_tables",)  # of the hub's store, in either database
FLEET_NAMES: Final = ("0001_tables",)


@dataclass(frozen=True, slots=True)
class Step:
    """A step's name, and its SQL for the database at hand."""

    name: str
    script: str


def steps(database: Database) -> tuple[Step, ...]:
    """Return all steps, in their order."""
    folder = files("sync.hub.store") / "migrations"
    names = FLEET_NAMES if database == "fleet" else NAMES
    return tuple(Step(name, (folder / f"{name}.{database}.sql").read_text()) for name in names)


def migrate(connection: HubConnection, todo: Sequence[Step]) -> None:
    """Migrate the hub's store. One that is new begins its first incarnation.

    Raises as ``run_steps`` does.
    """
    run_steps(connection, todo, name="the hub's store")
    if not incarnation_table.has_incarnation(connection):
        first = incarnation_table.new_incarnation(time.time_ns() // 1_000_000)
        incarnation_table.add_incarnation(
            connection, first, began_s=int(time.time()), resumption=None
        )


def run_steps(connection: HubConnection, todo: Sequence[Step], *, name: str) -> None:
    """Run those of ``todo`` that the store ``name`` lacks, in the caller's transaction.

    Raises HubStoreError for a store that a newer program wrote. No other process may migrate at
    the same time.
    """
    connection.execute("CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY)")
    done = {name for (name,) in connection.execute("SELECT name FROM migration").fetchall()}
    if unknown := sorted(done - {step.name for step in todo}):
        raise HubStoreError(
            f"{name} was written by a newer program ({', '.join(unknown)}):"
            " install that or a newer one"
        )
    for step in todo:
        if step.name in done:
            continue
        for statement in statements(step.script):
            connection.execute(statement)
        connection.execute("INSERT INTO migration (name) VALUES (?)", (step.name,))


def statements(script: str) -> Iterator[str]:
    r"""Yield the statements of ``script``; ``executescript`` would commit the transaction.

    >>> list(statements("CREATE TABLE a (b TEXT);  -- one\nCREATE TABLE c (d TEXT);\n"))
    ['CREATE TABLE a (b TEXT);  -- one', 'CREATE TABLE c (d TEXT);']
    """
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    assert not statement.strip(), "a statement ends with a semicolon at the end of a line"
