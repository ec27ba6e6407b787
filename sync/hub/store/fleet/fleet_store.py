"""The fleet's database: settings, enrolments, certificates and revocations, ``fleet.db``.

It is a file of its own beside the hub's store. The hub and the enrolment service share it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from sync.hub.store.interface import HubStoreError
from sync.hub.store.migration import run_steps, steps
from sync.hub.store.sqlite import SqliteConnection, make_file, read_view, write_transaction

FILE = "fleet.db"
FleetConnection: TypeAlias = sqlite3.Connection


class FleetStore:
    """One connection. Every change happens in ``transaction`` and is on disk when it ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit when the block ends, undo when it raises. Raises HubStoreError."""
        with write_transaction(self._connection, "the fleet's store"):
            yield self._connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Open one consistent view."""
        with read_view(self._connection):
            yield self._connection

    def data_version(self) -> int:
        """Return a number that changes when another process has committed."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_fleet_store(folder: Path) -> FleetStore:
    """Open or make ``folder/fleet.db``. Raises HubStoreError.

    Any thread may use the store, but only one at a time.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        make_file(folder / FILE, mode=_rights(folder))
        connection = sqlite3.connect(
            folder / FILE, isolation_level=None, timeout=5.0, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        store = FleetStore(connection)
        with store.transaction() as ours:
            run_steps(SqliteConnection(ours), steps("fleet"), name="the fleet's store")
    except (OSError, sqlite3.Error) as error:
        raise HubStoreError(
            f"{folder / FILE} cannot be opened: {error}; check data_dir and its rights"
        ) from error
    return store


def known_devices(connection: sqlite3.Connection) -> set[str]:
    """Return the devices that are enrolled, have reported or were revoked."""
    rows = connection.execute(
        "SELECT dev FROM enrolled_device"
        " UNION SELECT dev FROM settings_report UNION SELECT dev FROM revocation"
    )
    return {dev for (dev,) in rows}


def _rights(folder: Path) -> int:
    """Return the mode of the file: writable for the users that the folder is writable for.

    The hub and the enrolment service may run as two users of one group.
    """
    return 0o660 if folder.stat().st_mode & 0o020 else 0o600
