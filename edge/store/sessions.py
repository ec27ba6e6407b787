"""The one session that may be open at a device, and the badge that waits for its PIN.

Both are in the store, so every process sees the same. A session ends when its time is over, after
a while without an action, when its badge is shown again, when the machine restarts, when the clock
goes back before its beginning, and when the operator list no longer has its operator.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, Final

from edge.domain.roles import Operator, Role
from edge.store.boot import boot_id
from edge.store.database.store import Store
from edge.values.instant import Instant

SESSION_COLUMNS: Final = "operator_id, role, badge, opened_s, expires_s, acted_s, idle_s, boot"
_TOUCH_S: Final = 20  # an action this soon after the last is not written again


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSession:
    """A signed-in person: they showed a badge and entered its PIN. Times are Unix seconds."""

    operator_id: str
    role: Role
    badge: bytes  # the badge's cti
    opened_s: int
    expires_s: int
    acted_s: int  # of the last action
    idle_s: int  # the session ends this long after the last action

    @property
    def operator(self) -> Operator:
        """The person, as a fact of a verdict."""
        return Operator(self.operator_id, self.role)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBadge:
    """A verified badge that was shown; its PIN was not entered yet."""

    operator_id: str
    cti: bytes
    expires_at_s: int


def current_session(store: Store, now: Instant) -> OperatorSession | None:
    """Return the open session, or None. Raises StoreUnavailableError."""
    with store.read() as connection:
        return find_session(connection, now)


def find_session(
    connection: sqlite3.Connection, now: Instant, *, boot: str | None = None
) -> OperatorSession | None:
    """Return the open session within the caller's transaction, or None."""
    row = connection.execute(f"SELECT {SESSION_COLUMNS} FROM session").fetchone()
    return None if row is None else session_from(row, now, boot=boot)


def session_from(
    row: tuple[Any, ...], now: Instant, *, boot: str | None = None
) -> OperatorSession | None:
    """Return the session in a row of ``SESSION_COLUMNS`` if it is open now, else None."""
    if row[7] != (boot_id() if boot is None else boot):
        return None
    session = OperatorSession(
        operator_id=row[0],
        role=Role(row[1]),
        badge=row[2],
        opened_s=row[3],
        expires_s=row[4],
        acted_s=row[5],
        idle_s=row[6],
    )
    ends_s = min(session.expires_s, session.acted_s + session.idle_s)
    return session if session.opened_s <= now.unix_s < ends_s else None


def touch(connection: sqlite3.Connection, session: OperatorSession, now: Instant) -> None:
    """Record that the session is in use, in the caller's transaction."""
    if now.unix_s - session.acted_s >= _TOUCH_S:
        connection.execute(
            "UPDATE session SET acted_s = ? WHERE badge = ? AND opened_s = ?",
            (now.unix_s, session.badge, session.opened_s),
        )


def open_session(
    connection: sqlite3.Connection, session: OperatorSession, *, boot: str | None = None
) -> None:
    """Replace any open session by ``session``, in the caller's transaction."""
    connection.execute(
        f"INSERT OR REPLACE INTO session (one, {SESSION_COLUMNS})"
        " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            session.operator_id,
            session.role.value,
            session.badge,
            session.opened_s,
            session.expires_s,
            session.acted_s,
            session.idle_s,
            boot_id() if boot is None else boot,
        ),
    )


def end_session(connection: sqlite3.Connection) -> None:
    """End the open session, if there is one, in the caller's transaction."""
    connection.execute("DELETE FROM session")


def write_shown_badge(connection: sqlite3.Connection, badge: ShownBadge, now: Instant) -> None:
    """Record that ``badge`` waits for its PIN, in the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO shown_badge (one, operator_id, badge, expires_s, shown_s)"
        " VALUES (1, ?, ?, ?, ?)",
        (badge.operator_id, badge.cti, badge.expires_at_s, now.unix_s),
    )


def find_shown_badge(
    connection: sqlite3.Connection, now: Instant, *, within_s: int
) -> ShownBadge | None:
    """Return the badge that was shown last, less than ``within_s`` ago and not expired, or None."""
    row = connection.execute(
        "SELECT operator_id, badge, expires_s, shown_s FROM shown_badge"
    ).fetchone()
    if row is None or not 0 <= now.unix_s - row[3] < within_s or now.unix_s >= row[2]:
        return None
    return ShownBadge(operator_id=row[0], cti=row[1], expires_at_s=row[2])


def delete_shown_badge(connection: sqlite3.Connection) -> None:
    """Forget the badge that was shown, in the caller's transaction."""
    connection.execute("DELETE FROM shown_badge")
