"""The register: a SQLite file beside the keys. A code is in it before its token exists.

Every change has a row with who, when and why. Rows are never deleted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.values.errors import EdgeError
from sync.register.code_record import CodeRecord, IssuedCodeState

FILE: Final = "register.db"
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS code (
  cti BLOB PRIMARY KEY CHECK (length(cti) = 16),
  kid BLOB NOT NULL,
  status_index INTEGER,
  order_id TEXT NOT NULL,
  line TEXT,
  kind TEXT NOT NULL,
  site TEXT NOT NULL,
  quantity INTEGER NOT NULL,
  amount_minor INTEGER,
  currency TEXT,
  not_before_s INTEGER NOT NULL,
  expires_at_s INTEGER NOT NULL,
  issued_s INTEGER NOT NULL,
  issued_by TEXT NOT NULL,
  state TEXT NOT NULL                      -- live | superseded | revoked
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS code_index ON code (kid, status_index)
  WHERE status_index IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS code_of_line ON code (order_id, line)
  WHERE line IS NOT NULL AND state = 'live';
CREATE INDEX IF NOT EXISTS code_of_order ON code (order_id);
CREATE INDEX IF NOT EXISTS code_withdrawn ON code (kid, status_index) WHERE state != 'live';
CREATE TABLE IF NOT EXISTS change (        -- who changed the state of a code, when and why
  no INTEGER PRIMARY KEY,
  cti BLOB NOT NULL,
  state TEXT NOT NULL,                     -- after the change
  at_s INTEGER NOT NULL,
  person TEXT NOT NULL,
  reason TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS change_of ON change (cti);
CREATE TABLE IF NOT EXISTS status_version ( -- the last list that was built
  kid BLOB PRIMARY KEY,
  version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
_FIELDS: Final = tuple(CodeRecord.__dataclass_fields__)
_COLUMNS: Final = ", ".join(_FIELDS)
_HOLES: Final = ", ".join("?" for _ in _FIELDS)


class RegisterError(EdgeError):
    """The register refused, or cannot be used. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Act:
    """Who changes something, when (Unix seconds) and why."""

    person: str
    at_s: int
    reason: str


class CodeRegister:
    """An open register. Every method raises RegisterError."""

    def __init__(self, path: Path) -> None:
        """Open or make the register at ``path``."""
        try:
            existed = path.exists()
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_TABLES)
            if not existed:
                path.chmod(0o600)
        except (sqlite3.Error, OSError) as error:
            raise RegisterError(f"the register {path} cannot be used ({error})") from None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from changing the register in this block, which is all or nothing.

        An index that is free at its beginning is still free at its end.
        """
        with self._transaction():
            yield

    def next_status_index(self, kid: bytes) -> int:
        """Return the lowest index of ``kid`` that is above every one used."""
        row = self._read("SELECT max(status_index) FROM code WHERE kid = ?", kid)[0]
        return 0 if row[0] is None else int(row[0]) + 1

    def add(self, records: Sequence[CodeRecord]) -> list[bytes]:
        """Record codes that are about to be issued; return the ctis that they supersede.

        Nothing is recorded when a cti or a status index was used before.
        """
        superseded: list[bytes] = []
        with self._transaction() as connection:
            for record in records:
                if record.line is not None:
                    superseded += self._supersede(connection, record)
                self._insert(connection, record)
        return superseded

    def records(self, *, order_id: str | None = None, cti: bytes | None = None) -> list[CodeRecord]:
        """Return the codes of an order, or the code ``cti``, oldest first."""
        rows = self._read(
            f"SELECT {_COLUMNS} FROM code WHERE order_id = ? OR cti = ? ORDER BY issued_s, cti",
            order_id,
            cti,
        )
        return [_record(row) for row in rows]

    def changes(self, cti: bytes) -> list[tuple[IssuedCodeState, Act]]:
        """Return what happened to a code since it was issued, oldest first."""
        rows = self._read(
            "SELECT state, person, at_s, reason FROM change WHERE cti = ? ORDER BY no", cti
        )
        return [(IssuedCodeState(state), Act(*act)) for state, *act in rows]

    def set_state(self, ctis: Sequence[bytes], state: IssuedCodeState, act: Act) -> int:
        """Set the state of codes, all or none; return how many had another one."""
        changed = 0
        with self._transaction() as connection:
            for cti in ctis:
                row = connection.execute(
                    "SELECT status_index, state FROM code WHERE cti = ?", (cti,)
                ).fetchone()
                _require_revocable(cti, row)
                if row[1] == state.value:
                    continue
                try:
                    connection.execute(
                        "UPDATE code SET state = ? WHERE cti = ?", (state.value, cti)
                    )
                except sqlite3.IntegrityError:
                    raise RegisterError(
                        f"the line of code {cti.hex()} has another live code: revoke that first"
                    ) from None
                _write_change(connection, cti, state, act)
                changed += 1
        return changed

    def withdrawn_indexes(self, kid: bytes) -> list[int]:
        """Return the status indexes of the codes of ``kid`` that are not live."""
        rows = self._read(
            "SELECT status_index FROM code"
            " WHERE kid = ? AND state != 'live' AND status_index IS NOT NULL",
            kid,
        )
        return [int(index) for (index,) in rows]

    def next_version(self, kid: bytes, at_s: int) -> int:
        """Begin a version of the status list of ``kid``: the time, or one more than the last."""
        with self._transaction() as connection:
            row = connection.execute(
                "INSERT INTO status_version (kid, version) VALUES (?, ?) ON CONFLICT (kid)"
                " DO UPDATE SET version = max(version + 1, excluded.version) RETURNING version",
                (kid, at_s),
            ).fetchone()
        return int(row[0])

    def _supersede(self, connection: sqlite3.Connection, record: CodeRecord) -> list[bytes]:
        """Supersede the live code of the record's line."""
        found = connection.execute(
            "UPDATE code SET state = 'superseded'"
            " WHERE order_id = ? AND line = ? AND state = 'live' RETURNING cti",
            (record.order_id, record.line),
        ).fetchall()
        act = Act(record.issued_by, record.issued_s, f"superseded by {record.cti.hex()}")
        for (cti,) in found:
            _write_change(connection, cti, IssuedCodeState.SUPERSEDED, act)
        return [cti for (cti,) in found]

    def _insert(self, connection: sqlite3.Connection, record: CodeRecord) -> None:
        try:
            connection.execute(
                f"INSERT INTO code ({_COLUMNS}) VALUES ({_HOLES})",
                [getattr(record, name) for name in _FIELDS],
            )
        except sqlite3.IntegrityError:
            raise RegisterError(
                f"status index {record.status_index} belongs to another code: an index is never"
                " used twice; --revocable takes the next free one"
            ) from None

    def _read(self, query: str, *values: Any) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise RegisterError(f"the register cannot be read ({error})") from None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        if connection.in_transaction:  # of the block ``alone``, which ends it
            yield connection
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise RegisterError(f"the register cannot be written ({error})") from None
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _record(row: tuple[Any, ...]) -> CodeRecord:
    fields = dict(zip(_FIELDS, row, strict=True))
    return CodeRecord(**{**fields, "state": IssuedCodeState(fields["state"])})


def _require_revocable(cti: bytes, row: tuple[Any, ...] | None) -> None:
    """Raise RegisterError for a code that no status list can name."""
    if row is None:
        raise RegisterError(f"no code {cti.hex()} is in the register")
    if row[0] is None:
        raise RegisterError(
            f"code {cti.hex()} was issued without a status index: cancel its order line instead,"
            " and issue with --revocable from now on"
        )


def _write_change(
    connection: sqlite3.Connection, cti: bytes, state: IssuedCodeState, act: Act
) -> None:
    connection.execute(
        "INSERT INTO change (cti, state, at_s, person, reason) VALUES (?, ?, ?, ?, ?)",
        (cti, state.value, act.at_s, act.person, act.reason),
    )
