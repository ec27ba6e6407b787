"""The newest signed document of each name, as bytes. Only for documents whose signature held (law 4).

The highest version ever seen stays, so an old list cannot be played back (a rollback attack,
The Update Framework). Its issue time raises the time floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.store.database.store import Store
from edge.values.instant import Instant

TRUST_LIST = "trust_list"


def status_list(kid: bytes) -> str:
    """The name of the status list of the issuer key ``kid``."""
    return f"status_list/{kid.hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A kept document. ``raw`` is the whole signed object."""

    name: str
    version: int
    issued_at_s: int
    received_s: int
    raw: bytes


class StoreResult(StrEnum):
    """What became of an offered document."""

    STORED = "stored"
    SAME = "same"  # this very document is kept already
    ROLLBACK = "rollback"  # its version is below the highest seen: refused
    EQUIVOCATION = (
        "equivocation"  # the highest version, with other content: refused, a security alarm
    )

    @property
    def refused(self) -> bool:
        """True when the offered document was not taken, and is not what is kept."""
        return self in (StoreResult.ROLLBACK, StoreResult.EQUIVOCATION)


def put(
    store: Store, *, name: str, version: int, issued_at_s: int, raw: bytes, now: Instant
) -> StoreResult:
    """Keep ``raw``, which the caller has verified, if its version rises. On disk when this returns STORED."""
    with store.transaction() as connection:
        kept = connection.execute(
            "SELECT version, raw FROM document WHERE name = ?", (name,)
        ).fetchone()
        if kept is not None and version <= kept[0]:
            if version < kept[0]:
                return StoreResult.ROLLBACK
            return StoreResult.SAME if raw == kept[1] else StoreResult.EQUIVOCATION
        connection.execute(
            "INSERT INTO document (name, version, issued_at_s, received_s, raw) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET version = excluded.version, issued_at_s = excluded.issued_at_s,"
            " received_s = excluded.received_s, raw = excluded.raw",
            (name, version, issued_at_s, now.unix_s, raw),
        )
        connection.execute("UPDATE device SET time_floor_s = max(time_floor_s, ?)", (issued_at_s,))
        return StoreResult.STORED


def newest(store: Store, name: str) -> StoredDocument | None:
    """The document of that name, or None."""
    found = under(store, name, exact=True)
    return found[0] if found else None


def under(store: Store, prefix: str, *, exact: bool = False) -> list[StoredDocument]:
    """Every document whose name begins with ``prefix``, by name: ``under(store, "status_list/")``."""
    test = "name = ?" if exact else "substr(name, 1, length(?1)) = ?1"
    with store.read() as connection:
        rows = connection.execute(
            f"SELECT name, version, issued_at_s, received_s, raw FROM document WHERE {test} ORDER BY name",  # noqa: S608 - constants
            (prefix,),
        ).fetchall()
    return [
        StoredDocument(name=n, version=v, issued_at_s=i, received_s=r, raw=raw)
        for n, v, i, r, raw in rows
    ]
