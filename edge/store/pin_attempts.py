"""Wrong PINs, counted on disk before a PIN is checked: no restart or power cut gives a free try.

Every function with a ``connection`` works in the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from edge.values.instant import Instant

FREE: Final = 5  # wrong PINs until the first lock-out
_FIRST_S: Final = 15 * 60
_LONGEST_S: Final = 24 * 3600  # each further wrong PIN doubles the time, up to this


def lockout_left_s(connection: sqlite3.Connection, operator_id: str, now: Instant) -> int:
    """Return for how many seconds this operator is still locked out; 0: not at all.

    A clock that goes back lengthens it, never beyond a day from now.
    """
    row = connection.execute(
        "SELECT locked_until_s FROM pin_attempt WHERE operator_id = ?", (operator_id,)
    ).fetchone()
    return 0 if row is None else min(max(row[0] - now.unix_s, 0), _LONGEST_S)


def count_attempt(connection: sqlite3.Connection, operator_id: str, now: Instant) -> int:
    """Count a try as wrong until it proves right; return how many there are."""
    row = connection.execute(
        "SELECT failures FROM pin_attempt WHERE operator_id = ?", (operator_id,)
    ).fetchone()
    failures = 1 + (0 if row is None else row[0])
    connection.execute(
        "INSERT OR REPLACE INTO pin_attempt (operator_id, failures, locked_until_s)"
        " VALUES (?, ?, ?)",
        (operator_id, failures, now.unix_s + lockout_s(failures) if failures >= FREE else 0),
    )
    return failures


def clear_attempts(connection: sqlite3.Connection, operator_id: str) -> bool:
    """Delete the counted tries; return whether there were any."""
    deleted = connection.execute("DELETE FROM pin_attempt WHERE operator_id = ?", (operator_id,))
    return deleted.rowcount > 0


def lockout_s(failures: int) -> int:
    """Return for how many seconds the ``failures``-th wrong PIN locks out.

    >>> [lockout_s(failures) // 60 for failures in (4, 5, 6, 7, 20)]
    [0, 15, 30, 60, 1440]
    """
    if failures < FREE:
        return 0
    return min(_FIRST_S << min(failures - FREE, 12), _LONGEST_S)
