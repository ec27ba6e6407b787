"""The hub's store in PostgreSQL, for several hub processes at once.

Each transaction first takes an advisory lock for every name that it concerns. Two hubs therefore
never decide about one device or one entitlement at the same time. The order of the locks is fixed,
so two transactions never deadlock. Transactions with no name in common run side by side.

psycopg is imported only when it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast
from zlib import crc32

from sync.hub.store.interface import (
    EVERYTHING,
    Concerns,
    HubConnection,
    HubStoreError,
    Rows,
    UnfitValueError,
    Value,
)
from sync.hub.store.migration import migrate, steps

if TYPE_CHECKING:
    import psycopg

STRIPES: Final = (
    1024  # names share this many locks: a transaction of ten thousand names takes no more
)
_LOCKS: Final = 0x45444745  # ours among the advisory locks of the database
_LEAD, _SCHEMA_LOCK, _CONFLICTS = STRIPES, STRIPES + 1, STRIPES + 2
CONNECT_TIMEOUT_S: Final = 10


class PostgresHubStore:
    """``HubStore`` in a database. A lost connection ends the process, which is then restarted."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        *,
        broken: tuple[type[Exception], ...],
        unfit: tuple[type[Exception], ...],
    ) -> None:
        self._connection = connection
        self._portable = PostgresConnection(connection, unfit)
        self._broken = broken
        self._unfit = unfit
        self._leads = False

    @contextmanager
    def transaction(self, concerning: Concerns = EVERYTHING) -> Iterator[HubConnection]:
        """Run READ COMMITTED, with the locks of ``concerning``."""
        try:
            self._connection.execute("BEGIN")
            self._lock(concerning)
            yield self._portable
            self._connection.execute("COMMIT")
        except self._unfit as error:
            self._undo()
            raise UnfitValueError(str(error).strip()) from error
        except self._broken as error:
            self._undo()
            raise HubStoreError(
                f"the hub's database cannot be used: {str(error).strip()}"
            ) from error
        except BaseException:
            self._undo()
            raise

    @contextmanager
    def read(self) -> Iterator[HubConnection]:
        """Run REPEATABLE READ: one snapshot."""
        try:
            self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield self._portable
        except self._broken as error:
            raise HubStoreError(
                f"the hub's database cannot be read: {str(error).strip()}"
            ) from error
        finally:
            self._undo()

    def data_version(self) -> int:
        """Return the sum of all revisions and of those that are confirmed: it only grows."""
        return int(
            self._one(
                "SELECT coalesce(sum(revision), 0) FROM (SELECT head AS revision FROM feed"
                " UNION ALL SELECT revision FROM order_confirmation) AS revisions"
            )
        )

    def lead(self) -> bool:
        """Take a lock that the database releases when the connection ends."""
        if not self._leads:
            self._leads = bool(self._one(f"SELECT pg_try_advisory_lock({_LOCKS}, {_LEAD})"))
        return self._leads

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _one(self, sql: str) -> Any:
        try:
            row = self._connection.execute(cast("Any", sql)).fetchone()
        except self._broken as error:
            raise HubStoreError(
                f"the hub's database cannot be used: {str(error).strip()}"
            ) from error
        assert row is not None
        return row[0]

    def _lock(self, concerning: Concerns) -> None:
        """Wait for the locks of ``concerning``."""
        stripes = (
            list(range(STRIPES))
            if concerning is EVERYTHING
            else sorted({_stripe(name) for name in concerning})
        )
        if stripes:
            self._connection.execute(
                "SELECT pg_advisory_xact_lock(%s, stripe) FROM unnest(%s::int[]) AS stripe",
                (_LOCKS, stripes),
            )

    def _undo(self) -> None:
        if not self._connection.closed and self._connection.info.transaction_status != 0:  # 0: idle
            try:
                self._connection.execute("ROLLBACK")
            except self._broken:
                return  # the server rolls back a broken connection


class PostgresConnection:
    """``HubConnection`` over psycopg."""

    def __init__(
        self, connection: psycopg.Connection[Any], unfit: tuple[type[Exception], ...] = ()
    ) -> None:
        self._connection = connection
        self._unfit = unfit

    def execute(self, sql: str, values: Sequence[Value] = (), /) -> Rows:
        """Run one statement."""
        if not values:
            return cast("Rows", self._connection.execute(cast("Any", sql)))
        return cast("Rows", self._connection.execute(cast("Any", for_psycopg(sql)), tuple(values)))

    def executemany(self, sql: str, values: Iterable[Sequence[Value]], /) -> None:
        """Run the same statement for each of ``values``."""
        with self._connection.cursor() as cursor:
            cursor.executemany(cast("Any", for_psycopg(sql)), list(values))

    @contextmanager
    def part(self) -> Iterator[None]:
        """Run the block in a savepoint."""
        try:
            with self._connection.transaction():
                yield
        except self._unfit as error:
            raise UnfitValueError(str(error).strip()) from error

    def lock_conflict_numbers(self) -> None:
        """Take the lock that comes after every other lock, so that no two transactions deadlock."""
        self._connection.execute(f"SELECT pg_advisory_xact_lock({_LOCKS}, {_CONFLICTS})")


def open_postgres(url: str) -> PostgresHubStore:
    """Connect and migrate the tables. Raises HubStoreError."""
    try:
        import psycopg
    except ImportError:
        raise HubStoreError("a database URL needs psycopg: pip install 'psycopg[binary]'") from None
    broken = (psycopg.OperationalError, psycopg.InterfaceError)
    # U+0000, an integer of more than 64 bits, half of a surrogate pair, a key longer than a page.
    unfit = (psycopg.DataError, UnicodeEncodeError, psycopg.errors.ProgramLimitExceeded)
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
        with connection.transaction():
            connection.execute(f"SELECT pg_advisory_xact_lock({_LOCKS}, {_SCHEMA_LOCK})")
            connection.execute("SET LOCAL client_min_messages = warning")
            migrate(PostgresConnection(connection), steps("postgres"))
    except psycopg.Error as error:
        why = str(error).strip()
        raise HubStoreError(
            f"the hub's database cannot be opened: {why}; check database in the configuration"
        ) from (None)
    return PostgresHubStore(connection, broken=broken, unfit=unfit)


@lru_cache(maxsize=500)
def for_psycopg(sql: str) -> str:
    """Return a portable statement with values in psycopg's form.

    ``?`` becomes ``%s`` and ``%`` becomes ``%%``. The statements of the two databases differ in
    nothing else. The rule holds because a ``?`` is always a value.

    >>> for_psycopg("SELECT 1 WHERE a = ? AND b % 2 = ?")
    'SELECT 1 WHERE a = %s AND b %% 2 = %s'
    """
    return sql.replace("%", "%%").replace("?", "%s")


def _stripe(name: str) -> int:
    return crc32(name.encode()) % STRIPES
