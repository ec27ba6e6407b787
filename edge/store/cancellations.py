"""An order that is cancelled after it was honoured here: nobody is wrong, and a person must settle it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from edge.domain.entitlement import OrderStatus
from edge.domain.order_row import Row
from edge.values.instant import Instant

# A use that stands, about which nothing was raised yet, and that no door of its own pickup will still find out.
_HONOURED = """
    SELECT l.id FROM ledger l WHERE l.cti = ? AND l.reverses IS NULL
      AND NOT EXISTS (SELECT 1 FROM ledger r WHERE r.reverses = l.id)
      AND NOT EXISTS (SELECT 1 FROM exception x WHERE x.ledger_id = l.id AND x.kind = 'business_rule')
      AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.ledger_id = l.id AND i.state = 'reserved')
"""


def raise_cancelled(connection: sqlite3.Connection, rows: Iterable[Row], now: Instant) -> int:
    """Raise a case for each honoured use of a cancelled order, in the feed's transaction; return how many."""
    raised = 0
    cancelled = OrderStatus.CANCELLED.value
    for cti, order_id in [(row[0], row[1]) for row in rows if row[4] == cancelled]:
        for (ledger_id,) in connection.execute(_HONOURED, (cti,)).fetchall():
            connection.execute(
                "INSERT INTO exception (kind, cause, tried, cti, order_id, ledger_id, raised_s)"
                " VALUES ('business_rule', ?, 'nothing: it was honoured before the cancellation came', ?, ?, ?, ?)",
                ("cancelled after it was honoured", cti, order_id, ledger_id, now.unix_s),
            )
            raised += 1
    return raised
