"""What every store of a hub offers: a file, or a database that several hub processes share.

A statement means the same to SQLite and to PostgreSQL. Each ``?`` is a value, in the order of the
values, and a statement with values holds no other ``?``. A statement that inserts a row which may
exist already uses ``ON CONFLICT``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from edge.values.errors import EdgeError

EVERYTHING: Final = None  # a transaction that concerns every name

Concerns = frozenset[str] | None
Value = str | int | bytes | None


class HubStoreError(EdgeError):
    """The store cannot be used; the message gives the cause and what to do."""


class UnfitValueError(EdgeError):
    """A value that the store cannot hold; the message says which kind.

    What came with it is at fault, and not the store: the caller sets it aside and continues.
    """


class Rows(Protocol):
    """What a statement returned."""

    @property
    def rowcount(self) -> int:
        """Return how many rows were changed."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return all remaining rows."""

    def __iter__(self) -> Iterator[Any]: ...


class HubConnection(Protocol):
    """SQL statements in one transaction."""

    def execute(self, sql: str, values: Sequence[Value] = (), /) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, values: Iterable[Sequence[Value]], /) -> None:
        """Run one statement for each of ``values``."""

    def part(self) -> AbstractContextManager[None]:
        """Undo what the block wrote if it raises, and keep the rest of the transaction.

        Raises UnfitValueError.
        """

    def lock_conflict_numbers(self) -> None:
        """Lock the numbering of conflicts until this transaction ends; wait for the lock.

        Call it before a row is added to ``conflict``. A device acknowledges conflicts up to a
        number, so no lower number may appear after a higher one was committed.
        """


class HubStore(Protocol):
    """One connection. Every change happens in ``transaction`` and is on disk when it ends."""

    def transaction(
        self, concerning: Concerns = EVERYTHING
    ) -> AbstractContextManager[HubConnection]:
        """Commit when the block ends, undo when it raises. Raises HubStoreError, UnfitValueError.

        No other transaction that concerns any of the same names (of devices, sites, entitlements)
        runs at the same time. What is read in it stays true until it ends.
        """

    def read(self) -> AbstractContextManager[HubConnection]:
        """Open one consistent view."""

    def data_version(self) -> int:
        """Return a number that changes when another process has changed a feed."""

    def lead(self) -> bool:
        """Return True when this process is the only hub that publishes to groups.

        It stays the only one until it ends.
        """

    def close(self) -> None:
        """Close the connection, and free the lead for another process."""
