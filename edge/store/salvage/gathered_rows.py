"""The rows that were found in a broken store, each once: a scratch database of its own.

It is on disk beyond its first megabytes: a ledger may be larger than the memory of a device.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any

from edge.store.salvage.carried_tables import CARRIED, CarriedTable
from edge.store.salvage.records import Value


class Evidence(IntEnum):
    """How good a row is that was found. The better one counts."""

    CURRENT = 0  # as the last transaction left it
    EARLIER = 1  # of an older copy of its page; it may have changed since
    PART = 2  # some columns, as an index or a cut record has them


class GatheredRows:
    """Collects rows. Add the current ones first, then earlier ones from new to old."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect("", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = OFF")
        for table in CARRIED:
            self.connection.execute(
                f"CREATE TABLE {table.name} ({', '.join(table.columns)}, evidence,"
                f" PRIMARY KEY ({', '.join(table.key)}))"
            )
        self._whole = {table.name: _whole(table) for table in CARRIED}
        self.connection.execute("BEGIN")

    def add(
        self,
        table: CarriedTable,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        evidence: Evidence = Evidence.CURRENT,
    ) -> None:
        """Add rows of ``columns``. A column that they lack is null."""
        places = [columns.index(name) if name in columns else -1 for name in table.columns]
        self.connection.executemany(
            self._whole[table.name],
            ((*(None if place < 0 else row[place] for place in places), evidence) for row in rows),
        )

    def add_part(self, table: CarriedTable, row: Mapping[str, Value]) -> None:
        """Add some columns of a row, its key among them."""
        names = [name for name in table.columns if name in row]
        changes = ", ".join(
            f"{name} = coalesce({name}, excluded.{name})" for name in names if name not in table.key
        )
        merge = f"UPDATE SET {changes} WHERE evidence = {Evidence.PART}" if changes else "NOTHING"
        self.connection.execute(
            f"INSERT INTO {table.name} ({', '.join(names)}, evidence)"
            f" VALUES ({', '.join('?' * len(names))}, {Evidence.PART}) ON CONFLICT DO {merge}",
            [row[name] for name in names],
        )

    def clear(self, table: CarriedTable) -> None:
        """Forget the rows of a table."""
        self.connection.execute(f"DELETE FROM {table.name}")

    def rows(self, table: CarriedTable) -> Iterator[tuple[Any, ...]]:
        """Yield the rows with every column that they need, by key; the last value is a Evidence.

        A part is among them when substitutes stand for all that it lacks.
        """
        chosen = ", ".join(
            f"coalesce({name}, ?)" if name in table.substitutes else name for name in table.columns
        )
        whole = " AND ".join(
            f"{name} IS NOT NULL" for name in table.columns if name not in table.substitutes
        )
        condition = f"evidence < {Evidence.PART}" + (f" OR {whole}" if table.substitutes else "")
        yield from self.connection.execute(
            f"SELECT {chosen}, evidence FROM {table.name} WHERE {condition}"
            f" ORDER BY {', '.join(table.key)}",
            [table.substitutes[name] for name in table.columns if name in table.substitutes],
        )

    def close(self) -> None:
        """Delete the scratch database."""
        self.connection.close()


def _whole(table: CarriedTable) -> str:
    changes = ", ".join(f"{name} = excluded.{name}" for name in (*table.columns, "evidence"))
    newer = f" AND excluded.{table.newest} >= {table.newest}" if table.newest else ""
    return (
        f"INSERT INTO {table.name} VALUES ({', '.join('?' * (len(table.columns) + 1))})"
        f" ON CONFLICT DO UPDATE SET {changes} WHERE evidence = {Evidence.PART}{newer}"
    )
