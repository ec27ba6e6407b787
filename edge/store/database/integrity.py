"""SQLite's own check of the store's file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Final

from edge.store.database.store import Store, StoreUnavailableError

# How the check words a page that it could not read. It raises nothing then (btree.c, checkTreePage
# and checkList); 11 is SQLITE_CORRUPT, 26 is SQLITE_NOTADB.
_UNREAD: Final = re.compile(r"failed to get page|error code[= ](?!(?:11|26)\b)\d+")


def find_damage(store: Store, tables: Sequence[str]) -> str | None:
    """Return the first damage that SQLite finds in ``tables``; None when they are intact.

    Raises StoreUnavailableError, whose ``corrupt`` says whether the file itself is damaged.
    """
    with store.read() as connection:
        return damage_in(connection, tables)


def damage_in(connection: sqlite3.Connection, tables: Sequence[str]) -> str | None:
    """Return the first damage in ``tables``, or in the whole file where there are none.

    Raises sqlite3.Error, MemoryError, and StoreUnavailableError when a page could not be read:
    that is no damage.
    """
    for argument in [f"({name})" for name in tables] or [""]:
        found = [str(text) for (text,) in connection.execute(f"PRAGMA quick_check{argument}")]
        if unread := [text for text in found if _UNREAD.search(text)]:
            raise StoreUnavailableError(f"the store cannot be read ({unread[0]})")
        if found != ["ok"]:
            return found[0]
    return None


def read_every_row(connection: sqlite3.Connection) -> None:
    """Read every row of every table: SQLite's check takes a text that is no UTF-8 for whole.

    Raises sqlite3.Error and MemoryError.
    """
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in tables:
        for _ in connection.execute(f'SELECT * FROM "{name}"'):
            pass
