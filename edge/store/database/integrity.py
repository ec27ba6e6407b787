"""SQLite's own check of the store's file."""

from __future__ import annotations

from collections.abc import Sequence

from edge.store.database.store import Store


def find_damage(store: Store, tables: Sequence[str]) -> str | None:
    """Return the first damage that SQLite finds in ``tables``; None when they are intact.

    Raises StoreUnavailableError, whose ``corrupt`` says whether the file itself is damaged.
    """
    with store.read() as connection:
        for table in tables:
            (found,) = connection.execute(f"PRAGMA quick_check({table})").fetchone()
            if found != "ok":
                return str(found)
    return None
