"""The one session that may be open at a device, in the store: every process sees the same.

It ends when its time is over, when nothing was done for a while, when its badge is shown again, when the machine
starts anew, when the clock goes back before its beginning, and when the operator list no longer has its operator.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edge.domain.roles import Operator, Role
from edge.store.database.store import Store
from edge.values.instant import Instant

_BOOT_ID = Path(
    "/proc/sys/kernel/random/boot_id"
)  # proc(5): a new one at each start of the machine
SESSION_COLUMNS = "operator_id, role, badge, opened_s, expires_s, acted_s, idle_s, boot"
_TOUCH_S = 20  # an act this soon after the last is not written again


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSession:
    """Somebody who showed a badge and knew its PIN."""

    operator_id: str
    role: Role
    badge: bytes  # the badge's cti
    opened_s: int
    expires_s: int
    acted_s: int
    idle_s: int  # it ends this long after the last act

    @property
    def operator(self) -> Operator:
        """As a verdict's fact."""
        return Operator(self.operator_id, self.role)


@cache
def boot_id() -> str:
    """A name for this run of the machine; empty where the system has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def current_session(store: Store, now: Instant) -> OperatorSession | None:
    """Who is signed in now, or None. Raises StoreUnavailableError."""
    with store.read() as connection:
        return session_in(connection, now)


def session_in(
    connection: sqlite3.Connection, now: Instant, *, boot: str | None = None
) -> OperatorSession | None:
    """As ``current_session``, within the caller's transaction. One row by key: it is on the way of every scan."""
    row = connection.execute(f"SELECT {SESSION_COLUMNS} FROM session").fetchone()  # noqa: S608 - constants
    return None if row is None else session_of(row, now, boot=boot)


def session_of(
    row: tuple[Any, ...], now: Instant, *, boot: str | None = None
) -> OperatorSession | None:
    """The session that a row of ``SESSION_COLUMNS`` is, if it is open now."""
    if row[7] != (boot_id() if boot is None else boot):
        return None
    session = OperatorSession(
        operator_id=row[0], role=Role(row[1]), badge=row[2], opened_s=row[3], expires_s=row[4], acted_s=row[5],
        idle_s=row[6],
    )  # fmt: skip
    lasts_until_s = min(session.expires_s, session.acted_s + session.idle_s)
    return session if session.opened_s <= now.unix_s < lasts_until_s else None


def touch(connection: sqlite3.Connection, session: OperatorSession, now: Instant) -> None:
    """Tell that the session is in use, in the caller's transaction."""
    if now.unix_s - session.acted_s >= _TOUCH_S:
        connection.execute(
            "UPDATE session SET acted_s = ? WHERE badge = ? AND opened_s = ?",
            (now.unix_s, session.badge, session.opened_s),
        )


def open_session(
    connection: sqlite3.Connection, session: OperatorSession, *, boot: str | None = None
) -> None:
    """Put ``session`` in the place of any other, in the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO session (one, operator_id, role, badge, opened_s, expires_s, acted_s, idle_s, boot)"
        " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
        (session.operator_id, session.role.value, session.badge, session.opened_s, session.expires_s, session.acted_s,
         session.idle_s, boot_id() if boot is None else boot),
    )  # fmt: skip


def end_session(connection: sqlite3.Connection) -> None:
    """Nobody is signed in from here on, in the caller's transaction."""
    connection.execute("DELETE FROM session")
