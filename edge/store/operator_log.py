"""Sign-ins and what concerns them: kept on the device, beside the events that report them."""

from __future__ import annotations

import sqlite3

from edge.values.instant import Instant


def log_operator(
    connection: sqlite3.Connection, operator_id: str, result: str, detail: str, now: Instant
) -> None:
    """Append a line about an operator in the caller's transaction."""
    connection.execute(
        "INSERT INTO operator_log (at_s, trust, operator_id, result, detail)"
        " VALUES (?, ?, ?, ?, ?)",
        (now.unix_s, now.trust.value, operator_id, result, detail),
    )
