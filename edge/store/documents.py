"""The newest signed document of each name, as bytes: only documents whose signature held (law 4).

The highest version ever seen stays, so an old list cannot be played back (a rollback attack in The
Update Framework). A document's issue time raises the time floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge.store.database.store import Store
from edge.values.instant import Instant

TRUST_LIST: Final = "trust_list"


def status_list_name(kid: bytes) -> str:
    """Return the name of the status list of the issuer key ``kid``."""
    return f"status_list/{kid.hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A stored document. ``raw`` is the whole signed object; times are Unix seconds."""

    name: str
    version: int
    issued_at_s: int
    received_s: int
    raw: bytes


class StoreResult(StrEnum):
    """What happened to a document that was offered."""

    STORED = "stored"
    SAME = "same"  # this very document is stored already
    ROLLBACK = "rollback"  # refused: its version is below the highest seen
    EQUIVOCATION = "equivocation"  # refused, a security alarm: the highest version, other content

    @property
    def refused(self) -> bool:
        """True when the offered document is not the stored one."""
        return self in (StoreResult.ROLLBACK, StoreResult.EQUIVOCATION)


def put(
    store: Store, *, name: str, version: int, issued_at_s: int, raw: bytes, now: Instant
) -> StoreResult:
    """Store ``raw``, which the caller has verified, if its version is higher than any before.

    Of a document whose content was lost, the version is known still, and that very one is taken.
    It is on disk when this returns STORED. Raises StoreUnavailableError.
    """
    with store.transaction() as connection:
        stored = connection.execute(
            "SELECT version, raw FROM document WHERE name = ?", (name,)
        ).fetchone()
        if stored is not None and version <= stored[0] and (stored[1] or version < stored[0]):
            if version < stored[0]:
                return StoreResult.ROLLBACK
            return StoreResult.SAME if raw == stored[1] else StoreResult.EQUIVOCATION
        connection.execute(
            "INSERT INTO document (name, version, issued_at_s, received_s, raw)"
            " VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET version = excluded.version,"
            " issued_at_s = excluded.issued_at_s, received_s = excluded.received_s,"
            " raw = excluded.raw",
            (name, version, issued_at_s, now.unix_s, raw),
        )
        connection.execute("UPDATE device SET time_floor_s = max(time_floor_s, ?)", (issued_at_s,))
        return StoreResult.STORED


def find_document(store: Store, name: str) -> StoredDocument | None:
    """Return the document of that name, or None."""
    found = _select(store, "name = ?", name)
    return found[0] if found else None


def documents_named(store: Store, prefix: str) -> list[StoredDocument]:
    """Return every document whose name begins with ``prefix``, by name."""
    return _select(store, "substr(name, 1, length(?1)) = ?1", prefix)


def _select(store: Store, condition: str, value: str) -> list[StoredDocument]:
    with store.read() as connection:
        rows = connection.execute(
            "SELECT name, version, issued_at_s, received_s, raw FROM document"
            f" WHERE raw != x'' AND {condition} ORDER BY name",
            (value,),
        ).fetchall()
    return [
        StoredDocument(name=name, version=version, issued_at_s=issued, received_s=received, raw=raw)
        for name, version, issued, received, raw in rows
    ]
