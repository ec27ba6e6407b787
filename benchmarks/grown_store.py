"""A device's store after many redemptions: every table that grows, filled by SQL."""

from __future__ import annotations

from typing import Final

from edge.store.database.store import Store
from edge.store.ledger_restore import apply_restore_page

NOW_S: Final = 1_800_000_000
WAITING: Final = 10  # events that the platform has not acknowledged
_AUTHORISATIONS: Final = 1000  # what retention keeps

_EVENT: Final = """
    json_object('cti', lower(hex(zeroblob(12))) || printf('%08x', i), 'order', 'A-' || i, 'kind',
      'write_off', 'use', 1, 'units', 1, 'amount_minor', 1250, 'currency', 'EUR', 'verdict',
      'accepted', 'risks', json('[]'), 'operator', NULL, 'doors', json('[]'), 'kid', 'kid0')
"""
_CTI: Final = "unhex_cti(i)"
_FACTS: Final = "printf('%.*c', 700, 'x')"
_SOLD: Final = (
    "{cti}, 'A-1042', 1, 'site', 'bench', 'ready', 1, 1250, 'EUR', 0, 8589934591, 0, '[]', NULL,"
    " NULL, NULL, 1, 1"
)
# By table: columns, values of row i, and of how many redemptions one leaves such a row.
_ROWS: Final = (
    (
        "outbox (epoch_no, seq, id, type, body, at_s, trust)",
        f"1, i, 'event-' || i, 'redeemed', {_EVENT}, {NOW_S}, 'trusted'",
        1,
    ),
    (
        "ledger (id, cti, use_no, order_id, kind, units, amount_minor, currency, verdict, at_s,"
        " trust, epoch_no, seq, event_id)",
        f"i, {_CTI}, 1, 'A-' || i, 'write_off', 1, 1250, 'EUR', 'accepted', {NOW_S}, 'trusted', 1,"
        " i, 'event-' || i",
        1,
    ),
    ("entitlement", _SOLD.format(cti=_CTI), 1),
    (
        "restored_redemption (cti, device, event_id, units, amount_minor, at_s)",
        f"{_CTI}, 'bench-2', 'event-' || i, 1, 1250, {NOW_S}",
        1,
    ),
    (
        "journal (at_s, trust, reason, detail, cti, order_id, ledger_id, facts)",
        f"{NOW_S}, 'trusted', 'accepted', '', {_CTI}, 'A-' || i, i, {_FACTS}",
        1,
    ),
    ("journal (at_s, trust, reason, detail)", f"{NOW_S}, 'trusted', 'foreign', 'no token'", 1),
    (
        "intent (ledger_id, cti, compartment, position, reopening, state, reserved_s, ended_s)",
        f"i, {_CTI}, 'A', 0, 0, 'collected', {NOW_S}, {NOW_S}",
        10,
    ),
    ("review", f"i, 'approved', {NOW_S}, {NOW_S}, 'supervisor', 'ok'", 10),
    (
        "exception (kind, cause, tried, ledger_id, raised_s, settled_s)",
        f"'upload_refused', 'event ' || i, 'sent', i, {NOW_S}, {NOW_S}",
        100,
    ),
    (
        "operator_log (at_s, trust, operator_id, result)",
        f"{NOW_S}, 'trusted', 'o', 'signed_in'",
        100,
    ),
)


def grow(store: Store, rows: int, *, fresh: int = 0, refused: int | None = None) -> None:
    """Fill an empty ``store`` with what ``rows`` redemptions leave, all but the last ones sent.

    ``fresh`` codes are in the order cache and were not redeemed (``fresh_cti``). The platform has
    refused the first ``refused`` events; None: one of a thousand. Synchronisation is off meanwhile.
    """
    apply_restore_page(store, (), after="", following=None)
    connection = store.connection()
    connection.create_function("unhex_cti", 1, lambda i: cti(i, rows), deterministic=True)
    connection.execute("PRAGMA synchronous = OFF")
    for table, values, every in _ROWS:
        _fill(store, table, values, max(1, rows // every), every)
    connection.create_function("fresh_cti", 1, lambda i: fresh_cti(i, fresh), deterministic=True)
    _fill(store, "entitlement", _SOLD.format(cti="fresh_cti(i)"), fresh, 1)
    requests = "id, cti, units, order_quantity, requested_s, boot, due_ns, result, consumed, number"
    values = f"'request-' || i, {_CTI}, 1, 1, {NOW_S}, 'before', 0, 'granted', 1, i"
    _fill(store, f"authorisation_request ({requests})", values, min(rows, _AUTHORISATIONS), 1)
    with store.transaction():
        connection.execute("UPDATE epoch SET acknowledged_through = ?", (rows - WAITING,))
        connection.execute(
            "UPDATE outbox SET rejected = 'body_invalid' WHERE seq <= ?",
            (rows // 1000 if refused is None else refused,),
        )
        connection.execute("UPDATE device SET requests = ?", (min(rows, _AUTHORISATIONS),))
        connection.execute(
            "UPDATE feed SET revision = 1, generation = 1, last_contact_s = ?", (NOW_S,)
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA synchronous = FULL")


def _fill(store: Store, table: str, values: str, count: int, every: int) -> None:
    numbers = (
        "WITH RECURSIVE numbers (i) AS"
        f" (SELECT {every} UNION ALL SELECT i + {every} FROM numbers LIMIT ?)"
    )
    with store.transaction() as connection:
        connection.execute(f"INSERT INTO {table} {numbers} SELECT {values} FROM numbers", (count,))


def cti(number: int, of: int) -> bytes:
    """Return the ``number``-th of ``of`` evenly spread identities, from 1."""
    return (number * (2**120 // of)).to_bytes(16, "big")


def fresh_cti(number: int, of: int) -> bytes:
    """Return the ``number``-th of ``of`` identities that were not redeemed, from 1."""
    return (1 + number * (2**120 // max(1, of))).to_bytes(16, "big")
