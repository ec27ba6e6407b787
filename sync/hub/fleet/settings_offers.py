"""Offers of settings documents to devices.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from edge.documents.settings import SettingsDocument
from edge.system.durable_file import digest_of
from sync.hub.fleet.request_error import RequestError
from sync.hub.store.fleet import settings_table

KEPT_DOCUMENTS: Final = 64  # newest documents of each layer that stay stored


def document_named(connection: sqlite3.Connection, key: str, rev: int) -> dict[str, Any] | None:
    """Return the document of this layer and rev, if it is still stored."""
    raw = settings_table.document_raw(connection, key, rev)
    if raw is None:
        return None
    return {"key": key, "rev": rev, "raw": base64.b64encode(raw).decode()}


def offer(
    connection: sqlite3.Connection,
    document: SettingsDocument,
    raw: bytes,
    devices: Iterable[str] | None,
    *,
    now_s: int,
) -> None:
    """Offer ``document`` to ``devices``; None means its whole layer. Raises RequestError."""
    _add(connection, document, raw, now_s)
    key, rev = document.key, document.rev
    if devices is not None:
        settings_table.insert_offers(connection, key, rev, devices)
        return
    settings_table.make_current(connection, key, rev)
    settings_table.keep_newest(connection, key, KEPT_DOCUMENTS)


def withdraw(connection: sqlite3.Connection, key: str, rev: int) -> list[str]:
    """Withdraw the offers of a document and return the devices that had one.

    Raises RequestError.
    """
    if not settings_table.withdraw_document(connection, key, rev):
        raise RequestError(f"{key} rev {rev} is not being rolled out")
    return settings_table.delete_offers(connection, key, rev)


def _add(
    connection: sqlite3.Connection, document: SettingsDocument, raw: bytes, now_s: int
) -> None:
    """Add a document unless it is there.

    Raises RequestError if its rev is taken, withdrawn or too low.
    """
    key, rev, digest = document.key, document.rev, digest_of(raw)
    state = settings_table.document_state(connection, key, rev)
    if state is not None:
        if state[0] != digest:
            raise RequestError(f"{key} rev {rev} is there with other content: push it anew")
        if state[1] == settings_table.WITHDRAWN:
            raise RequestError(f"{key} rev {rev} was withdrawn: push it anew")
        return
    latest = settings_table.highest_rev(connection, key)
    if rev < latest:
        raise RequestError(f"{key} has rev {latest}, this is {rev}: another person has pushed")
    settings_table.insert_document(connection, key, rev, digest=digest, raw=raw, pushed_s=now_s)
