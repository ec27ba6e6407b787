"""Erase what a store knows of people and orders; keep what makes a code redeemable only once."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any, Final

from edge.store.database.store import Store

_ERASED: Final = "revoked"  # outbox.rejected of an event that will not be sent

_UNSENT: Final = """
    SELECT e.epoch, o.seq, o.id, o.type, o.body, o.at_s, o.trust
    FROM outbox o JOIN epoch e ON e.no = o.epoch_no
    WHERE (o.seq > e.acknowledged_through OR o.rejected IS NOT NULL) AND o.rejected IS NOT ?
    ORDER BY e.no, o.seq
"""
UNSENT_COLUMNS: Final = ("epoch", "seq", "id", "type", "body", "at_s", "trust")

# The tables that stay, with the statement that removes orders and people from them; None: nothing
# to remove.
KEPT: Final = {
    "_sqlite_migrations": None,
    "device": None,
    "document": None,  # public keys and lists
    "epoch": None,
    "exception": "UPDATE exception SET cause = '', tried = '', cti = NULL, order_id = NULL,"
    " note = NULL",
    "feed": "UPDATE feed SET revision = 0, last_contact_s = NULL, snapshot_revision = NULL,"
    " snapshot_pages = 0, dropped = NULL",
    "intent": None,  # doors and ledger rows
    # Amounts stay: they say what a code is still worth.
    "ledger": "UPDATE ledger SET order_id = '', operator = NULL",
    "outbox": "UPDATE outbox SET body = '{}'",
    "policy": None,
    "restored_redemption": None,
}
ERASED: Final = frozenset(
    {
        "authorisation_request",
        "entitlement",
        "journal",
        "operator_log",
        "pending_request",
        "pin_attempt",
        "review",
        "session",
        "shown_badge",
        "withdrawal",
    }
)


def block(store: Store, reason: str) -> None:
    """Block the device: it redeems nothing from here on. Raises StoreUnavailableError."""
    with store.transaction() as connection:
        connection.execute("UPDATE device SET blocked = ?", (reason,))


def unsent_events(store: Store) -> list[tuple[Any, ...]]:
    """Return what the platform was never sent, or refused, as rows of ``UNSENT_COLUMNS``."""
    with store.read() as connection:
        return connection.execute(_UNSENT, (_ERASED,)).fetchall()


def erase(store: Store) -> None:
    """Erase every table but ``KEPT``, and overwrite what deleted rows left in the files.

    Safe to repeat. Raises StoreUnavailableError.
    """
    store.connection().execute("PRAGMA secure_delete = ON")
    with store.transaction() as connection:
        connection.execute(
            "UPDATE outbox SET rejected = ? WHERE rejected IS NOT NULL OR seq >"
            " (SELECT acknowledged_through FROM epoch WHERE no = epoch_no)",
            (_ERASED,),
        )
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        for (table,) in sorted(tables, key=lambda row: row[0] != "journal"):  # it refers to others
            statement = KEPT.get(table, f'DELETE FROM "{table}"')
            if statement is not None:
                connection.execute(statement)
    _overwrite(store)


def _overwrite(store: Store) -> None:
    # A reader in the way is no failure: the rows are gone, and secure_delete has zeroed them.
    with suppress(sqlite3.Error), store.patient() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
