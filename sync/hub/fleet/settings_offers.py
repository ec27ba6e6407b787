"""Which settings document is offered to which device, in the fleet's store. Functions of the caller's transaction."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from edge.documents.settings import SettingsDocument
from edge.system.durable_file import digest_of
from sync.hub.fleet.request_error import RequestError

KEPT: Final = 64  # documents of a layer
ROLLING, CURRENT, WITHDRAWN = "rolling", "current", "withdrawn"


def newest(connection: sqlite3.Connection, key: str, dev: str) -> bytes | None:
    """The document of the layer ``key`` that ``dev`` is to have."""
    row = connection.execute(
        "SELECT raw FROM document d WHERE key = ?1 AND (state = ?2 OR (state = ?3 AND EXISTS"
        " (SELECT 1 FROM offer o WHERE o.key = d.key AND o.rev = d.rev AND o.dev = ?4)))"
        " ORDER BY rev DESC LIMIT 1",
        (key, CURRENT, ROLLING, dev),
    ).fetchone()
    return row[0] if row else None


def highest_rev(connection: sqlite3.Connection) -> int:
    """The highest rev of all layers: the next one is above it."""
    return int(connection.execute("SELECT coalesce(max(rev), 0) FROM document").fetchone()[0])


def named(
    connection: sqlite3.Connection, wanted: Iterable[tuple[str, int]]
) -> list[dict[str, Any]]:
    """The documents of these layers and revs, as far as they are still kept."""
    found = []
    for key, rev in wanted:
        row = connection.execute(
            "SELECT raw FROM document WHERE key = ? AND rev = ?", (key, rev)
        ).fetchone()
        if row is not None:
            found.append({"key": key, "rev": rev, "raw": base64.b64encode(row[0]).decode()})
    return found


def offer(
    connection: sqlite3.Connection,
    document: SettingsDocument,
    raw: bytes,
    devices: Iterable[str] | None,
    *,
    now_s: int,
) -> None:
    """Offer ``document`` to ``devices``, or, with None, to all that it is for. Raises RequestError."""
    _keep(connection, document, raw, now_s)
    key, rev = document.key, document.rev
    if devices is not None:
        connection.executemany(
            "INSERT OR IGNORE INTO offer VALUES (?, ?, ?)", [(key, rev, dev) for dev in devices]
        )
        return
    connection.execute(
        "UPDATE document SET state = ? WHERE key = ? AND rev = ?", (CURRENT, key, rev)
    )
    connection.execute("DELETE FROM offer WHERE key = ? AND rev <= ?", (key, rev))
    connection.execute(
        "DELETE FROM document WHERE key = ?1 AND rev NOT IN"
        " (SELECT rev FROM document WHERE key = ?1 ORDER BY rev DESC LIMIT ?2)",
        (key, KEPT),
    )


def withdraw(connection: sqlite3.Connection, key: str, rev: int) -> list[str]:
    """Take the offer back; return who had it. Raises RequestError."""
    rows = connection.execute(
        "SELECT dev FROM offer WHERE key = ? AND rev = ?", (key, rev)
    ).fetchall()
    done = connection.execute(
        "UPDATE document SET state = ? WHERE key = ? AND rev = ? AND state = ?",
        (WITHDRAWN, key, rev, ROLLING),
    )
    if not done.rowcount:
        raise RequestError(f"{key} rev {rev} is not being rolled out")
    connection.execute("DELETE FROM offer WHERE key = ? AND rev = ?", (key, rev))
    return [dev for (dev,) in rows]


def _keep(
    connection: sqlite3.Connection, document: SettingsDocument, raw: bytes, now_s: int
) -> None:
    row = connection.execute(
        "SELECT digest, state FROM document WHERE key = ? AND rev = ?", (document.key, document.rev)
    ).fetchone()
    if row is not None:
        if row[0] != digest_of(raw):
            raise RequestError(
                f"{document.key} rev {document.rev} is there with other content: push it anew"
            )
        if row[1] == WITHDRAWN:
            raise RequestError(f"{document.key} rev {document.rev} was withdrawn: push it anew")
        return
    latest = (
        connection.execute(
            "SELECT max(rev) FROM document WHERE key = ?", (document.key,)
        ).fetchone()[0]
        or 0
    )
    if document.rev < latest:
        raise RequestError(
            f"{document.key} has rev {latest}, this is {document.rev}: somebody else has pushed"
        )
    fresh = (document.key, document.rev, digest_of(raw), raw, ROLLING, now_s)
    connection.execute("INSERT INTO document VALUES (?, ?, ?, ?, ?, ?)", fresh)
