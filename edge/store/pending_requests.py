"""How much the next voucher is to be used for: typed at the device, then scanned.

There is at most one. It belongs to the person who typed it, and holds for one scan. Every function
works in the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from edge.domain.redemption_state import RequestedUse
from edge.values.instant import Instant


class PendingRequest(NamedTuple):
    """An amount that a signed-in person typed for the next voucher."""

    operator: str
    units: int
    amount_minor: int | None
    until_s: int  # Unix seconds, exclusive

    def for_scan(self, operator: str | None, now: Instant) -> RequestedUse | None:
        """Return what was typed if ``operator`` typed it and it has not expired, else None."""
        if self.operator != operator or now.unix_s >= self.until_s:
            return None
        return RequestedUse(units=self.units, amount_minor=self.amount_minor)


def write_pending_request(connection: sqlite3.Connection, request: PendingRequest) -> None:
    """Write ``request`` in place of any other."""
    connection.execute(
        "INSERT OR REPLACE INTO pending_request (one, operator, units, amount_minor, until_s)"
        " VALUES (1, ?, ?, ?, ?)",
        request,
    )


def delete_pending_request(connection: sqlite3.Connection) -> None:
    """Delete the request, if there is one."""
    connection.execute("DELETE FROM pending_request")
