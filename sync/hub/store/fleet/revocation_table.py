"""Revoked devices and authorities, and the stage of each revocation (sync.wire.fleet_requests)."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from sync.wire.fleet_requests import CONFIRMED, CUT, ORDERED, QUARANTINED


class Revocation(NamedTuple):
    """A revocation. ``at_s`` is Unix seconds."""

    reason: str
    at_s: int
    stage: str


def put_revocation(
    connection: sqlite3.Connection, dev: str, revocation: Revocation, *, raw: bytes
) -> None:
    """Write a revocation and its signed order. A device that is cut off stays cut off."""
    connection.execute(
        "INSERT INTO revocation VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (dev) DO UPDATE SET raw = ?2, reason = ?3, at_s = ?4,"
        " stage = CASE WHEN stage = ?6 THEN stage ELSE ?5 END",
        (dev, raw, *revocation, CUT),
    )


def revocation_of(connection: sqlite3.Connection, dev: str) -> Revocation | None:
    """Return the revocation of a device."""
    row = connection.execute(
        "SELECT reason, at_s, stage FROM revocation WHERE dev = ?", (dev,)
    ).fetchone()
    return None if row is None else Revocation(*row)


def revocation_order_of(connection: sqlite3.Connection, dev: str) -> bytes | None:
    """Return the signed order that revoked a device."""
    row = connection.execute("SELECT raw FROM revocation WHERE dev = ?", (dev,)).fetchone()
    return None if row is None else row[0]


def revocation_stages(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the stage of each revocation, by device."""
    return dict(connection.execute("SELECT dev, stage FROM revocation").fetchall())


def confirm_revocation(connection: sqlite3.Connection, dev: str) -> bool:
    """Record that a device has reported its revocation. Return False when nothing changed."""
    done = connection.execute(
        "UPDATE revocation SET stage = ? WHERE dev = ? AND stage <> ?", (CONFIRMED, dev, CUT)
    )
    return done.rowcount == 1


def advance_revocations(connection: sqlite3.Connection) -> None:
    """Record that the broker enforces every revocation."""
    for before, after in ((ORDERED, QUARANTINED), (CONFIRMED, CUT)):
        connection.execute("UPDATE revocation SET stage = ? WHERE stage = ?", (after, before))


def delete_revocation(connection: sqlite3.Connection, dev: str) -> None:
    """Delete the revocation of a name that a new device takes."""
    connection.execute("DELETE FROM revocation WHERE dev = ?", (dev,))
