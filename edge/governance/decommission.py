"""Leave the fleet: stop, seal what was not told, wipe what is known of people. Safe to do again at any point.

In this order: the block is on disk, then the sealed events, and only then is anything wiped. What stays is
what a store needs so that once stays once: the identities of redeemed codes, without orders or people.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from edge.documents.revocation_order import RevocationOrder
from edge.encryption.sealed_box import RANDOM_BYTES, seal
from edge.identity.identity import BLOCKED
from edge.store.database.store import Store
from edge.system.durable_file import write_durably

FOLDER: Final = "recovery"  # in the data folder
_WIPED: Final = "revoked"  # why an event will not be sent

_UNSENT: Final = """
    SELECT e.epoch, o.seq, o.id, o.type, o.body, o.at_s, o.trust FROM outbox o JOIN epoch e ON e.no = o.epoch_no
    WHERE (o.seq > e.settled_through OR o.rejected IS NOT NULL) AND o.rejected IS NOT ? ORDER BY e.no, o.seq
"""
KEPT: Final = {  # what a store needs so that once stays once, with what is done to it; None: nothing
    "_sqlite_migrations": None,
    "device": None,
    "document": None,  # public keys and lists
    "epoch": None,
    "exception": "UPDATE exception SET cause = '', tried = '', cti = NULL, order_id = NULL, note = NULL",
    "feed": "UPDATE feed SET revision = 0, heard_s = NULL, snapshot_revision = NULL, snapshot_pages = 0",
    "intent": None,  # doors and ledger rows
    "ledger": "UPDATE ledger SET order_id = '', operator = NULL",  # amounts stay: they say what a code is still worth
    "outbox": "UPDATE outbox SET body = '{}'",
    "policy": None,
}
WIPED: Final = frozenset(
    {"asked", "badge_shown", "claim", "entitlement", "journal", "operator_log", "pin_attempt", "review", "session",
     "withdrawal"}
)  # fmt: skip


def decommission(store: Store, data: Path, order: RevocationOrder, *, order_digest: str) -> Path:
    """Carry out ``order``, whose signature held. Returns the sealed file. Raises StoreUnavailableError, OSError."""
    with store.transaction() as connection:
        connection.execute("UPDATE device SET blocked = ?", (order.reason,))
    write_durably(data / BLOCKED, order.reason.encode())
    sealed = data / FOLDER / f"{order_digest[:32]}.sealed"
    if not sealed.exists():
        sealed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        random = os.urandom(RANDOM_BYTES)
        write_durably(sealed, seal(_unsent(store), order.recovery_key, random=random))
    store.connection().execute("PRAGMA secure_delete = ON")
    with store.transaction() as connection:
        connection.execute(
            "UPDATE outbox SET rejected = ? WHERE rejected IS NOT NULL OR seq >"
            " (SELECT settled_through FROM epoch WHERE no = epoch_no)",
            (_WIPED,),
        )
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        for (table,) in sorted(tables, key=lambda row: row[0] != "journal"):  # it refers to others
            statement = KEPT.get(table, f'DELETE FROM "{table}"')  # noqa: S608 - the schema's names
            if statement is not None:
                connection.execute(statement)
    _forget_pages(store)
    _forget_files(data, store)
    return sealed


def _unsent(store: Store) -> bytes:
    """What the platform was never told, or would not take: a JSON line an event."""
    with store.read() as connection:
        rows = connection.execute(_UNSENT, (_WIPED,)).fetchall()
    names = ("epoch", "seq", "id", "type", "body", "at_s", "trust")
    events = [dict(zip(names, row, strict=True)) | {"body": json.loads(row[4])} for row in rows]
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events).encode()


def _forget_pages(store: Store) -> None:
    """Overwrite what deleted rows have left in the files."""
    connection = store.connection()
    with suppress(
        Exception
    ):  # a reader in the way: the rows are gone, and secure_delete has zeroed them
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _forget_files(data: Path, store: Store) -> None:
    """Stores that were put aside hold what this one did."""
    mine = {store.path.name + suffix for suffix in ("", "-wal", "-shm")}
    for path in data.glob(f"{store.path.name}*"):
        if path.name not in mine:
            path.unlink(missing_ok=True)
