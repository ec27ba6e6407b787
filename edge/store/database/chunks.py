"""Many small changes, in transactions that each hold the store only for a moment.

A scan waits for the transaction that is running, never for the whole of the work
(docs/explanation/growth.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from edge.store.database.store import Store

HOLD_S: Final = 0.020  # the longest that a transaction may hold the store, with its commit
_CHANGES_S: Final = HOLD_S / 2  # of which for changes; the rest is for the disk

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Chunks:
    """Applies changes to ``store``, a few in each transaction, by the time that they take."""

    store: Store
    monotonic_s: Callable[[], float]

    def apply(
        self, items: Iterable[Item], change: Callable[[sqlite3.Connection, Item], Outcome]
    ) -> list[Outcome]:
        """Return the outcome of ``change`` for each of ``items``, all of them on disk.

        What a failure leaves is a beginning of ``items``. Raises StoreUnavailableError.
        """
        left = list(items)
        outcomes: list[Outcome] = []
        while left:
            with self.store.transaction() as connection:
                done = self._one(connection, left, change)
            outcomes += done
            del left[: len(done)]
        return outcomes

    def _one(
        self,
        connection: sqlite3.Connection,
        items: list[Item],
        change: Callable[[sqlite3.Connection, Item], Outcome],
    ) -> list[Outcome]:
        """Change the first of ``items``, and more until the time is used up."""
        until_s = self.monotonic_s() + _CHANGES_S
        done: list[Outcome] = []
        for item in items:
            done.append(change(connection, item))
            if self.monotonic_s() >= until_s:
                break
        return done
