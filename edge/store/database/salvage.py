"""What can still be read of a broken store: redemptions, unsent events and wrong PINs.

It is carried into the store that takes its place, so that a code is still redeemed only once (law
3), no readable event is lost (law 2), and breaking a store elsewhere gives no new tries at a PIN. A
broken page of the wrong PINs itself gives the usual tries once more with the next start; until then
no one can sign in. Old epochs keep their names and numbers.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

Row = tuple[object, ...]

_COLUMNS = {
    "epoch": ("no", "epoch", "began_s", "why", "acknowledged_through"),
    "outbox": ("epoch_no", "seq", "id", "type", "body", "at_s", "trust", "rejected", "rejected_s"),
    "ledger": (
        "id",
        "cti",
        "use_no",
        "reverses",
        "order_id",
        "kind",
        "units",
        "amount_minor",
        "currency",
        "verdict",
        "reason",
        "at_s",
        "trust",
        "operator",
        "risk",
        "epoch_no",
        "seq",
        "event_id",
    ),
    "review": ("ledger_id", "state", "opened_s", "decided_s", "decided_by", "reason"),
    "pin_attempt": ("operator_id", "failures", "locked_until_s"),
}  # fmt: skip - one table a paragraph


@dataclass(frozen=True, slots=True)
class SalvagedRows:
    """What was read of a broken store."""

    rows: dict[str, list[Row]] = field(default_factory=dict)  # by table and key, up to the damage
    floor_s: int = 0  # the time floor; 0 where it cannot be read
    floor_order_s: int = 0  # when the last order to lower it was signed


def read_remains(path: Path) -> SalvagedRows:
    """Read what can be read of the store at ``path``. Never raises for what the file holds."""
    rows_of: dict[str, list[Row]] = {}
    floor_s = order_s = 0
    with (
        suppress(sqlite3.Error, TypeError, ValueError),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as old,
    ):
        for table, columns in _COLUMNS.items():
            rows = rows_of.setdefault(table, [])
            with suppress(sqlite3.Error):  # a damaged table ends early; the next may be whole
                for row in old.execute(f"SELECT {', '.join(columns)} FROM {table}"):
                    rows.append(row)
        floor_s = int(old.execute("SELECT time_floor_s FROM device").fetchone()[0])
        order_s = int(old.execute("SELECT floor_order_s FROM device").fetchone()[0])
    return SalvagedRows(rows_of, floor_s, order_s)


def carry_over(connection: sqlite3.Connection, remains: SalvagedRows) -> int:
    """Write the remains into an empty store, in the caller's transaction.

    A row that breaks the new store's rules is left behind: the file it came from is kept.
    """
    kept = 0
    for table, columns in _COLUMNS.items():
        holes = ", ".join("?" for _ in columns)
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({holes})"
        for row in remains.rows.get(table, ()):
            with suppress(sqlite3.IntegrityError):
                connection.execute(statement, row)
                kept += table == "ledger"
    return kept
