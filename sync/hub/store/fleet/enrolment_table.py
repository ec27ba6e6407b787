"""Enrolment codes, enrolled devices, and requests that the enrolment service refused."""

from __future__ import annotations

import sqlite3
from typing import Any, Final, NamedTuple

REFUSALS_KEPT: Final = 10_000
CODE_REUSED: Final = "code_reused"  # the reason that hints at a stolen code
_CODE_COLUMNS: Final = (
    "id",
    "dev",
    "site",
    "expires_at_s",
    "state",
    "created_s",
    "used_s",
    "used_from",
)
_REFUSAL_COLUMNS: Final = ("at_s", "reason", "dev", "code", "address", "detail", "times")
_ALARM_COLUMNS: Final = (
    "code", "dev", "times", "first_s", "last_s", "first_address", "last_address",
)  # fmt: skip


class CodeState(NamedTuple):
    """The state of a code, and the key and certificate it was used for."""

    state: str  # open | used | cancelled
    key_digest: str | None
    certificate: str | None  # PEM


class EnrolledDevice(NamedTuple):
    """A device that enrolled."""

    site: str
    groups: str  # JSON array
    serial: str  # of the board, as the device reported it
    enrolled_s: int  # Unix seconds


# Codes


def insert_code(
    connection: sqlite3.Connection,
    id: str,
    *,
    dev: str,
    site: str,
    expires_at_s: int,
    created_s: int,
) -> None:
    """Insert an open code. The same code again changes nothing."""
    connection.execute(
        "INSERT OR IGNORE INTO enrolment_code (id, dev, site, expires_at_s, state, created_s)"
        " VALUES (?, ?, ?, ?, 'open', ?)",
        (id, dev, site, expires_at_s, created_s),
    )


def code_state(connection: sqlite3.Connection, id: str) -> CodeState | None:
    """Return the state of a code; None for an unknown code."""
    row = connection.execute(
        "SELECT state, key_digest, certificate FROM enrolment_code WHERE id = ?", (id,)
    ).fetchone()
    return None if row is None else CodeState(*row)


def use_code(
    connection: sqlite3.Connection,
    id: str,
    *,
    used_s: int,
    used_from: str,
    key_digest: str,
    certificate: str,
) -> None:
    """Record the use of a code and its certificate, so that a lost reply can be sent again."""
    connection.execute(
        "UPDATE enrolment_code"
        " SET state = 'used', used_s = ?, used_from = ?, key_digest = ?, certificate = ?"
        " WHERE id = ?",
        (used_s, used_from, key_digest, certificate, id),
    )


def cancel_code(connection: sqlite3.Connection, id: str) -> bool:
    """Cancel an open code. Return False when there is none."""
    done = connection.execute(
        "UPDATE enrolment_code SET state = 'cancelled' WHERE id = ? AND state = 'open'", (id,)
    )
    return done.rowcount == 1


def cancel_codes_of(connection: sqlite3.Connection, dev: str, *, but: str = "") -> None:
    """Cancel the open codes of a device, other than ``but``."""
    connection.execute(
        "UPDATE enrolment_code SET state = 'cancelled'"
        " WHERE dev = ? AND state = 'open' AND id <> ?",
        (dev, but),
    )


def newest_codes(connection: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """Return the newest codes, by column."""
    rows = connection.execute(
        f"SELECT {', '.join(_CODE_COLUMNS)} FROM enrolment_code ORDER BY created_s DESC LIMIT ?",  # noqa: S608 - constants
        (limit,),
    )
    return [dict(zip(_CODE_COLUMNS, row, strict=True)) for row in rows]


# Devices


def put_device(connection: sqlite3.Connection, dev: str, device: EnrolledDevice) -> None:
    """Write an enrolled device in place of the one with its name."""
    connection.execute(
        "INSERT INTO enrolled_device VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (dev)"
        " DO UPDATE SET site = ?2, groups = ?3, serial = ?4, enrolled_s = ?5",
        (dev, *device),
    )


def device_of(connection: sqlite3.Connection, dev: str) -> EnrolledDevice | None:
    """Return an enrolled device."""
    row = connection.execute(
        "SELECT site, groups, serial, enrolled_s FROM enrolled_device WHERE dev = ?", (dev,)
    ).fetchone()
    return None if row is None else EnrolledDevice(*row)


def sites_of_devices(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the enrolled devices and the site of each."""
    return dict(connection.execute("SELECT dev, site FROM enrolled_device").fetchall())


# Refusals


def insert_refusal(
    connection: sqlite3.Connection,
    reason: str,
    *,
    at_s: int,
    dev: str,
    code: str,
    address: str,
    detail: str,
    times: int,
) -> None:
    """Insert a refused request with its texts truncated; delete all but the newest refusals."""
    connection.execute(
        "INSERT INTO enrolment_refusal (at_s, reason, dev, code, address, detail, times)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (at_s, reason, dev[:80], code[:80], address[:80], detail[:400], times),
    )
    connection.execute(
        "DELETE FROM enrolment_refusal WHERE no <= (SELECT max(no) FROM enrolment_refusal) - ?",
        (REFUSALS_KEPT,),
    )


def newest_refusals(connection: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """Return the newest refusals, by column."""
    rows = connection.execute(
        f"SELECT {', '.join(_REFUSAL_COLUMNS)} FROM enrolment_refusal ORDER BY no DESC LIMIT ?",  # noqa: S608 - constants
        (limit,),
    )
    return [dict(zip(_REFUSAL_COLUMNS, row, strict=True)) for row in rows]


# Alarms


def put_alarm(
    connection: sqlite3.Connection, code: str, *, dev: str, address: str, at_s: int
) -> int:
    """Record that a used code was shown again, and return how often it was.

    There is a row for each code, and no code can be issued by who has none: nothing pushes it out.
    """
    row = connection.execute(
        "INSERT INTO enrolment_alarm VALUES (?1, ?2, 1, ?3, ?3, ?4, ?4) ON CONFLICT (code)"
        " DO UPDATE SET times = times + 1, last_s = ?3, last_address = ?4 RETURNING times",
        (code, dev, at_s, address[:80]),
    ).fetchone()
    return int(row[0])


def newest_alarms(connection: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """Return the alarms, by column, that of the last use first."""
    rows = connection.execute(
        f"SELECT {', '.join(_ALARM_COLUMNS)} FROM enrolment_alarm ORDER BY last_s DESC LIMIT ?",  # noqa: S608 - constants
        (limit,),
    )
    return [dict(zip(_ALARM_COLUMNS, row, strict=True)) for row in rows]


def count_reused_codes(connection: sqlite3.Connection, dev: str) -> int:
    """Return how often a used code of the device was used again."""
    row = connection.execute(
        "SELECT coalesce(sum(times), 0) FROM enrolment_alarm WHERE dev = ?", (dev,)
    ).fetchone()
    return int(row[0])
