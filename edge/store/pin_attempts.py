"""How often a wrong PIN was given, on disk before the PIN is checked: no restart and no power cut gives a free try."""

from __future__ import annotations

import sqlite3
from typing import Final

from edge.values.instant import Instant

FREE: Final = 5  # wrong PINs until the first lock-out
_FIRST_S: Final = 15 * 60
_LONGEST_S: Final = 24 * 3600  # each further wrong PIN doubles the time, up to this


def locked_for_s(connection: sqlite3.Connection, operator_id: str, now: Instant) -> int:
    """For how long this operator is locked out, in seconds; 0: not at all.

    A clock that goes back lengthens it, never beyond a day from now.
    """
    row = connection.execute(
        "SELECT locked_until_s FROM pin_attempt WHERE operator_id = ?", (operator_id,)
    ).fetchone()
    return 0 if row is None else min(max(row[0] - now.unix_s, 0), _LONGEST_S)


def count_attempt(connection: sqlite3.Connection, operator_id: str, now: Instant) -> int:
    """Count a try as a wrong one, in the caller's transaction, until it proves right; return how many there are."""
    row = connection.execute(
        "SELECT failures FROM pin_attempt WHERE operator_id = ?", (operator_id,)
    ).fetchone()
    failures = 1 + (0 if row is None else row[0])
    connection.execute(
        "INSERT OR REPLACE INTO pin_attempt (operator_id, failures, locked_until_s) VALUES (?, ?, ?)",
        (operator_id, failures, now.unix_s + lock_s(failures) if failures >= FREE else 0),
    )
    return failures


def forgive(connection: sqlite3.Connection, operator_id: str) -> bool:
    """Forget the tries, in the caller's transaction; whether there were any."""
    return (
        connection.execute("DELETE FROM pin_attempt WHERE operator_id = ?", (operator_id,)).rowcount
        > 0
    )


def lock_s(failures: int) -> int:
    """For how long the ``failures``-th wrong PIN locks out.

    >>> [lock_s(failures) // 60 for failures in (4, 5, 6, 7, 20)]
    [0, 15, 30, 60, 1440]
    """
    if failures < FREE:
        return 0
    return min(_FIRST_S << min(failures - FREE, 12), _LONGEST_S)
