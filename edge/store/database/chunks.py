"""Many small changes, in transactions that each hold the store only for a moment.

A scan waits for the transaction that is running, never for the whole of the work
(docs/explanation/growth.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from edge.store.database.store import Store

HOLD_S: Final = 0.020  # the longest that a transaction should hold the store, with its commit
_MOST_S: Final = HOLD_S / 4  # of which for changes: the disk may take the rest
_LEAST_S: Final = HOLD_S / 10  # for changes on a disk whose commit alone takes longer

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Chunks:
    """Applies changes to ``store``, a few in each transaction, by the time that they take."""

    def __init__(self, store: Store, monotonic_s: Callable[[], float]) -> None:
        self.store = store
        self._monotonic_s = monotonic_s
        self._commit_s = 0.0  # how long the disk took of late

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
                changed_s = self._monotonic_s()
            self._commit_s = max(self._monotonic_s() - changed_s, self._commit_s * 0.9)
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
        until_s = self._monotonic_s() + max(_LEAST_S, min(_MOST_S, HOLD_S - self._commit_s))
        done: list[Outcome] = []
        for item in items:
            done.append(change(connection, item))
            if self._monotonic_s() >= until_s:
                break
        return done
