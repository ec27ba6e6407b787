"""Conflicts that the platform finds: this device honoured what another did too. A person must settle them."""

from __future__ import annotations

from edge.store.database.store import Store
from edge.values.instant import Instant

# Where the ledger may say that the event stands: there, or where it stood before it was sent again in a later epoch.
_PLACES = """
    SELECT o.epoch_no, o.seq FROM outbox o JOIN epoch e ON e.no = o.epoch_no WHERE e.epoch = ?3 AND o.seq = ?4
    UNION ALL
    SELECT b.epoch_no, b.seq FROM outbox o JOIN epoch e ON e.no = o.epoch_no
    JOIN outbox b ON b.id = o.id AND b.rejected = 'sequence_reused' WHERE e.epoch = ?3 AND o.seq = ?4
"""


def record_conflict(
    store: Store, *, no: int, epoch: str, seq: int, other: str, other_s: int, now: Instant
) -> bool:
    """Raise the platform's conflict ``no`` about event ``seq`` of ``epoch``. False when it was raised before.

    ``other`` is the other device, ``other_s`` when it honoured the same entitlement, Unix seconds.
    """
    name = f"conflict {no}: "
    cause = f"{name}event {seq} of {epoch}; also honoured by {other} at {other_s}"
    with store.transaction() as connection:
        known = connection.execute(
            "SELECT 1 FROM exception WHERE kind = 'platform_conflict' AND substr(cause, 1, ?) = ?",
            (len(name), name),
        ).fetchone()
        if known:
            return False
        connection.execute(
            "INSERT INTO exception (kind, cause, tried, cti, order_id, ledger_id, raised_s)"  # noqa: S608 - a constant
            " SELECT 'platform_conflict', ?1, 'told by the platform', l.cti, l.order_id, l.id, ?2"
            f" FROM (SELECT 1) LEFT JOIN ledger l ON (l.epoch_no, l.seq) IN ({_PLACES})",
            (cause, now.unix_s, epoch, seq),
        )
        return True
