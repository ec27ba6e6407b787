"""The doors that one use of a code opened, as the store has them."""

from edge.store import lock_intents
from edge.store.database.store import Store
from edge.store.lock_intents import Intent


def intents_of(store: Store, ledger_id: int) -> list[Intent]:
    """Return every door of one use, oldest first."""
    with store.read() as connection:
        rows = connection.execute(
            "SELECT id FROM intent WHERE ledger_id = ? ORDER BY id", (ledger_id,)
        )
        ids = tuple(number for (number,) in rows)
    return lock_intents.find_intents(store, ids)
