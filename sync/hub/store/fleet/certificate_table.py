"""Certificates that were issued, renewed and revoked. A serial number is lower-case hexadecimal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


def insert_certificate(
    connection: sqlite3.Connection, serial: str, *, dev: str, expires_at_s: int, issued_s: int
) -> None:
    """Insert a certificate that was issued to a device."""
    connection.execute(
        "INSERT INTO device_certificate VALUES (?, ?, ?, ?)", (serial, dev, expires_at_s, issued_s)
    )


def was_issued(connection: sqlite3.Connection, serial: str) -> bool:
    """Return whether this certificate was issued here to a device."""
    row = connection.execute(
        "SELECT 1 FROM device_certificate WHERE serial = ?", (serial,)
    ).fetchone()
    return row is not None


def last_expiry_s(connection: sqlite3.Connection, dev: str) -> int | None:
    """Return when the last certificate of a device expires (Unix seconds)."""
    row = connection.execute(
        "SELECT max(expires_at_s) FROM device_certificate WHERE dev = ?", (dev,)
    ).fetchone()
    return None if row[0] is None else int(row[0])


def devices_with_certificate(connection: sqlite3.Connection) -> list[str]:
    """Return the devices that certificates were issued to."""
    return [dev for (dev,) in connection.execute("SELECT DISTINCT dev FROM device_certificate")]


def insert_renewal(connection: sqlite3.Connection, name: str, serials: Iterable[str]) -> None:
    """Record that ``name``, no device, has certificates of these serial numbers."""
    connection.executemany(
        "INSERT OR IGNORE INTO renewed_certificate VALUES (?, ?)",
        [(serial, name) for serial in serials],
    )


def serials_of(connection: sqlite3.Connection, name: str) -> list[str]:
    """Return the recorded serial numbers of every certificate that names ``name``."""
    rows = connection.execute(
        "SELECT serial FROM device_certificate WHERE dev = ?1"
        " UNION SELECT serial FROM renewed_certificate WHERE name = ?1",
        (name,),
    )
    return [serial for (serial,) in rows]


def revoke_certificates(
    connection: sqlite3.Connection, serials: Iterable[str], *, at_s: int
) -> None:
    """Put certificates on the revocation list."""
    connection.executemany(
        "INSERT OR IGNORE INTO revoked_certificate VALUES (?, ?)",
        [(serial, at_s) for serial in serials],
    )


def revoke_certificates_of(connection: sqlite3.Connection, dev: str, *, at_s: int) -> None:
    """Put every certificate that was issued to a device on the revocation list."""
    connection.execute(
        "INSERT OR IGNORE INTO revoked_certificate"
        " SELECT serial, ? FROM device_certificate WHERE dev = ?",
        (at_s, dev),
    )


def is_certificate_revoked(connection: sqlite3.Connection, serial: str) -> bool:
    """Return whether a certificate is on the revocation list."""
    row = connection.execute(
        "SELECT 1 FROM revoked_certificate WHERE serial = ?", (serial,)
    ).fetchone()
    return row is not None


def revoked_serials(connection: sqlite3.Connection) -> list[str]:
    """Return the serial numbers on the revocation list, in order."""
    return [
        serial
        for (serial,) in connection.execute(
            "SELECT serial FROM revoked_certificate ORDER BY serial"
        )
    ]
