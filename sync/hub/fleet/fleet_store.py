"""What the hub knows of the fleet beside its events: settings, enrolments, certificates, who was revoked.

A file of its own beside the hub's store, shared by the hub and the enrolment desk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE = "fleet.db"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (        -- settings, signed
  key TEXT NOT NULL,                         -- fleet | group/x | site/x | device/x
  rev INTEGER NOT NULL,
  digest TEXT NOT NULL,
  raw BLOB NOT NULL,
  state TEXT NOT NULL,                       -- rolling | current | withdrawn
  pushed_s INTEGER NOT NULL,
  PRIMARY KEY (key, rev)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offer (           -- who is offered a rolling one
  key TEXT NOT NULL,
  rev INTEGER NOT NULL,
  dev TEXT NOT NULL,
  PRIMARY KEY (key, rev, dev)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS report (          -- what each device last said of its settings
  dev TEXT PRIMARY KEY,
  report TEXT NOT NULL,                      -- JSON
  received_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS device (          -- enrolled ones; those of hub.toml are not here
  dev TEXT PRIMARY KEY,
  site TEXT NOT NULL,
  groups TEXT NOT NULL,                      -- JSON array
  serial TEXT NOT NULL,                      -- of the board, as it said
  enrolled_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS enrolment (
  id TEXT PRIMARY KEY,                       -- of the code, hexadecimal
  dev TEXT NOT NULL,
  site TEXT NOT NULL,
  expires_at_s INTEGER NOT NULL,
  state TEXT NOT NULL,                       -- open | used | cancelled
  made_s INTEGER NOT NULL,
  used_s INTEGER,
  used_from TEXT,
  key_digest TEXT,                           -- of the key that it was used for
  certificate TEXT                           -- what that key got, so that a lost answer can be given again
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trace (           -- what was refused at the desk
  no INTEGER PRIMARY KEY,
  at_s INTEGER NOT NULL,
  what TEXT NOT NULL,
  dev TEXT NOT NULL,
  code TEXT NOT NULL,
  address TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS certificate (
  serial TEXT PRIMARY KEY,                   -- hexadecimal
  dev TEXT NOT NULL,
  expires_at_s INTEGER NOT NULL,
  issued_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS succession (      -- certificates of servers, hubs and authorities, and their successors
  serial TEXT PRIMARY KEY,                   -- hexadecimal
  name TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revoked (         -- who may not take part
  dev TEXT PRIMARY KEY,
  raw BLOB NOT NULL,                         -- the signed order
  reason TEXT NOT NULL,
  at_s INTEGER NOT NULL,
  stage TEXT NOT NULL                        -- told: may only hear of it and answer | cut: not even that
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS barred (          -- certificates on the revocation list
  serial TEXT PRIMARY KEY,
  at_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


class FleetStoreError(Exception):
    """The store cannot be used; the message says why and what to do."""


class FleetStore:
    """One connection. Every change happens in ``transaction`` and is on disk when it ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """BEGIN IMMEDIATE; committed when the block ends, undone when it raises. Raises FleetStoreError."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._undo()
            raise FleetStoreError(f"the fleet's store cannot be written: {error}") from error
        except BaseException:
            self._undo()
            raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent view."""
        self._connection.execute("BEGIN")
        try:
            yield self._connection
        finally:
            self._undo()

    def data_version(self) -> int:
        """A number that changes when another process has committed."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def open_fleet_store(folder: Path) -> FleetStore:
    """Open or make ``folder/fleet.db``. Raises FleetStoreError. Threads may hand it on, not share it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _make_file(folder)
        connection = sqlite3.connect(
            folder / FILE, isolation_level=None, timeout=5.0, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise FleetStoreError(
            f"{folder / FILE} cannot be opened: {error}; check data_dir and its rights"
        ) from error
    return FleetStore(connection)


def _make_file(folder: Path) -> None:
    """Hub and desk share it as two users of a group: whoever may write in the folder may write the file.

    SQLite gives its other files the rights of this one.
    """
    rights = 0o660 if folder.stat().st_mode & 0o020 else 0o600
    try:
        descriptor = os.open(
            folder / FILE, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, rights
        )
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, rights)  # whatever the umask
    finally:
        os.close(descriptor)


def trace(
    connection: sqlite3.Connection, now_s: int, what: str, *, dev: str = "", code: str = "", address: str = "",
    detail: str = "",
) -> None:  # fmt: skip
    """Leave a trace, in the caller's transaction; the newest 10,000 stay."""
    connection.execute(
        "INSERT INTO trace (at_s, what, dev, code, address, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (now_s, what, dev[:80], code[:80], address[:80], detail[:400]),
    )
    connection.execute("DELETE FROM trace WHERE no <= (SELECT max(no) FROM trace) - 10000")
