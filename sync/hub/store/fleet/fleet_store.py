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
from sync.hub.store.sqlite import make_file, read_view, write_transaction

FILE = "fleet.db"
FleetConnection: TypeAlias = sqlite3.Connection

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings_document (      -- settings, signed
  key TEXT NOT NULL,                         -- fleet | group/x | site/x | device/x
  rev INTEGER NOT NULL,
  digest TEXT NOT NULL,
  raw BLOB NOT NULL,
  state TEXT NOT NULL,                       -- rolling | current | withdrawn
  pushed_s INTEGER NOT NULL,
  PRIMARY KEY (key, rev)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings_offer (         -- the devices a rolling document is offered to
  key TEXT NOT NULL,
  rev INTEGER NOT NULL,
  dev TEXT NOT NULL,
  PRIMARY KEY (key, rev, dev)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings_report (        -- the last report of each device
  dev TEXT PRIMARY KEY,
  report TEXT NOT NULL,                      -- JSON
  received_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS enrolled_device (        -- without those of hub.toml
  dev TEXT PRIMARY KEY,
  site TEXT NOT NULL,
  groups TEXT NOT NULL,                      -- JSON array
  serial TEXT NOT NULL,                      -- of the board, as the device reported
  enrolled_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS enrolment_code (
  id TEXT PRIMARY KEY,                       -- of the code, hexadecimal
  dev TEXT NOT NULL,
  site TEXT NOT NULL,
  expires_at_s INTEGER NOT NULL,
  state TEXT NOT NULL,                       -- open | used | cancelled
  created_s INTEGER NOT NULL,
  used_s INTEGER,
  used_from TEXT,
  key_digest TEXT,                           -- of the public key that it was used for
  certificate TEXT                           -- for that key, so that a lost reply can be sent again
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS enrolment_refusal (      -- a request that was refused
  no INTEGER PRIMARY KEY,
  at_s INTEGER NOT NULL,
  reason TEXT NOT NULL,
  dev TEXT NOT NULL,
  code TEXT NOT NULL,
  address TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS device_certificate (
  serial TEXT PRIMARY KEY,                   -- hexadecimal
  dev TEXT NOT NULL,
  expires_at_s INTEGER NOT NULL,
  issued_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS renewed_certificate (    -- of servers, hubs and authorities
  serial TEXT PRIMARY KEY,                   -- hexadecimal
  name TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revocation (             -- a device that may not take part
  dev TEXT PRIMARY KEY,
  raw BLOB NOT NULL,                         -- the signed order
  reason TEXT NOT NULL,
  at_s INTEGER NOT NULL,
  stage TEXT NOT NULL                        -- see sync.wire.fleet_requests
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revoked_certificate (    -- certificates on the revocation list
  serial TEXT PRIMARY KEY,
  at_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


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
        connection.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise HubStoreError(
            f"{folder / FILE} cannot be opened: {error}; check data_dir and its rights"
        ) from error
    return FleetStore(connection)


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
