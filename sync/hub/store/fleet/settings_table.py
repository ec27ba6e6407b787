"""Settings documents, their offers to devices, and what devices reported about their settings."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

# States of a document.
ROLLING: Final = "rolling"
CURRENT: Final = "current"
WITHDRAWN: Final = "withdrawn"


# Documents


def newest_document(connection: sqlite3.Connection, key: str, dev: str) -> bytes | None:
    """Return the newest document of layer ``key`` that is current, or is offered to ``dev``."""
    row = connection.execute(
        "SELECT raw FROM settings_document d"
        " WHERE key = ?1 AND (state = ?2 OR (state = ?3 AND EXISTS"
        " (SELECT 1 FROM settings_offer o WHERE o.key = d.key AND o.rev = d.rev AND o.dev = ?4)))"
        " ORDER BY rev DESC LIMIT 1",
        (key, CURRENT, ROLLING, dev),
    ).fetchone()
    return row[0] if row else None


def document_raw(connection: sqlite3.Connection, key: str, rev: int) -> bytes | None:
    """Return a document as it was signed."""
    row = connection.execute(
        "SELECT raw FROM settings_document WHERE key = ? AND rev = ?", (key, rev)
    ).fetchone()
    return row[0] if row else None


def document_state(connection: sqlite3.Connection, key: str, rev: int) -> tuple[str, str] | None:
    """Return the digest and the state of a document."""
    row = connection.execute(
        "SELECT digest, state FROM settings_document WHERE key = ? AND rev = ?", (key, rev)
    ).fetchone()
    return None if row is None else (row[0], row[1])


def highest_rev(connection: sqlite3.Connection, key: str | None = None) -> int:
    """Return the highest rev of the layer ``key``, or of all layers; 0 when there is none."""
    row = connection.execute(
        "SELECT coalesce(max(rev), 0) FROM settings_document WHERE ?1 IS NULL OR key = ?1", (key,)
    ).fetchone()
    return int(row[0])


def insert_document(
    connection: sqlite3.Connection, key: str, rev: int, *, digest: str, raw: bytes, pushed_s: int
) -> None:
    """Insert a document that is rolled out from now on."""
    connection.execute(
        "INSERT INTO settings_document VALUES (?, ?, ?, ?, ?, ?)",
        (key, rev, digest, raw, ROLLING, pushed_s),
    )


def make_current(connection: sqlite3.Connection, key: str, rev: int) -> None:
    """Make a document the layer's current one: for every device, without an offer to each."""
    connection.execute(
        "UPDATE settings_document SET state = ? WHERE key = ? AND rev = ?", (CURRENT, key, rev)
    )
    connection.execute("DELETE FROM settings_offer WHERE key = ? AND rev <= ?", (key, rev))


def withdraw_document(connection: sqlite3.Connection, key: str, rev: int) -> bool:
    """Withdraw a document that is rolled out. Return False for any other."""
    done = connection.execute(
        "UPDATE settings_document SET state = ? WHERE key = ? AND rev = ? AND state = ?",
        (WITHDRAWN, key, rev, ROLLING),
    )
    return done.rowcount == 1


def keep_newest(connection: sqlite3.Connection, key: str, count: int) -> None:
    """Delete all but the newest documents of a layer."""
    connection.execute(
        "DELETE FROM settings_document WHERE key = ?1 AND rev NOT IN"
        " (SELECT rev FROM settings_document WHERE key = ?1 ORDER BY rev DESC LIMIT ?2)",
        (key, count),
    )


# Offers


def insert_offers(
    connection: sqlite3.Connection, key: str, rev: int, devices: Iterable[str]
) -> None:
    """Offer a rolling document to devices."""
    connection.executemany(
        "INSERT OR IGNORE INTO settings_offer VALUES (?, ?, ?)",
        [(key, rev, dev) for dev in devices],
    )


def delete_offers(connection: sqlite3.Connection, key: str, rev: int) -> list[str]:
    """Delete the offers of a document and return the devices that had one."""
    of = (key, rev)
    rows = connection.execute(
        "SELECT dev FROM settings_offer WHERE key = ? AND rev = ?", of
    ).fetchall()
    connection.execute("DELETE FROM settings_offer WHERE key = ? AND rev = ?", of)
    return [dev for (dev,) in rows]


# Reports


def put_report(connection: sqlite3.Connection, dev: str, report: str, *, received_s: int) -> None:
    """Write a device's report of its settings (JSON), in place of the one before."""
    connection.execute(
        "INSERT INTO settings_report VALUES (?1, ?2, ?3)"
        " ON CONFLICT (dev) DO UPDATE SET report = ?2, received_s = ?3",
        (dev, report, received_s),
    )


def report_of(connection: sqlite3.Connection, dev: str) -> tuple[str, int] | None:
    """Return the last report of a device (JSON) and when it was received (Unix seconds)."""
    row = connection.execute(
        "SELECT report, received_s FROM settings_report WHERE dev = ?", (dev,)
    ).fetchone()
    return None if row is None else (row[0], row[1])


def reporting_devices(connection: sqlite3.Connection) -> Sequence[str]:
    """Return the devices that have reported."""
    return [dev for (dev,) in connection.execute("SELECT dev FROM settings_report")]
