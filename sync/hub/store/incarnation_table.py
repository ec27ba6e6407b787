"""The lives of the store, and whether it has less history than devices report.

Tables: ``incarnation``, ``hold`` and ``history_claim``.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from edge.values.uuid7 import uuid7
from sync.hub.store.interface import HubConnection


class Resumption(NamedTuple):
    """Who resumed the hub, why, and why it was held."""

    by_name: str
    reason: str
    held: str


class Claim(NamedTuple):
    """A device reports more than the store has: ``kind`` is ``orders`` or ``events``."""

    dev: str
    kind: str
    numbering: str  # of its events: the epoch; of its orders: the incarnation, hexadecimal
    through: int  # a revision, or the number of an event
    detail: str
    reported_s: int


# Incarnations


def new_incarnation(unix_ms: int) -> bytes:
    """Return an incarnation of this time: 16 bytes that sort by it (UUIDv7)."""
    return bytes.fromhex(uuid7(unix_ms, os.urandom(10)).replace("-", ""))


def present_incarnation(connection: HubConnection) -> bytes:
    """Return the present incarnation, 16 bytes."""
    row = connection.execute("SELECT id FROM incarnation ORDER BY id DESC LIMIT 1").fetchone()
    return bytes(row[0])


def add_incarnation(
    connection: HubConnection, id: bytes, *, began_s: int, resumption: Resumption | None
) -> None:
    """Insert an incarnation. It is the present one if its id is the greatest."""
    connection.execute(
        "INSERT INTO incarnation VALUES (?, ?, ?, ?, ?)",
        (id, began_s, *(resumption or (None, None, None))),
    )


def has_incarnation(connection: HubConnection) -> bool:
    """Return whether the store has begun its first incarnation."""
    return connection.execute("SELECT 1 FROM incarnation LIMIT 1").fetchone() is not None


def last_resumed_s(connection: HubConnection) -> int | None:
    """Return when a person last resumed the hub, Unix seconds; None if nobody ever did."""
    row = connection.execute(
        "SELECT max(began_s) FROM incarnation WHERE by_name IS NOT NULL"
    ).fetchone()
    return None if row[0] is None else int(row[0])


def resumptions(connection: HubConnection) -> list[tuple[int, str, str, str]]:
    """Return time (Unix seconds), person, reason and cause of each resumption, newest first."""
    rows = connection.execute(
        "SELECT began_s, by_name, reason, held FROM incarnation WHERE by_name IS NOT NULL"
        " ORDER BY id DESC"
    )
    return [(at_s, name, reason, held) for at_s, name, reason, held in rows.fetchall()]


# Hold


def hold_of(connection: HubConnection) -> tuple[int, str] | None:
    """Return since when (Unix seconds) and why the hub is held; None: it is not."""
    row = connection.execute("SELECT since_s, detail FROM hold").fetchone()
    return None if row is None else (row[0], row[1])


def put_hold(connection: HubConnection, *, since_s: int, detail: str) -> None:
    """Hold the hub. Where it is held already, its detail stays."""
    connection.execute(
        "INSERT INTO hold VALUES (1, ?, ?) ON CONFLICT DO NOTHING", (since_s, detail)
    )


def delete_hold(connection: HubConnection) -> None:
    """End the hold."""
    connection.execute("DELETE FROM hold")


# Claims


def put_claim(connection: HubConnection, claim: Claim, *, accepted: bool) -> None:
    """Record what a device reports, in place of its last claim of that kind."""
    connection.execute(
        "INSERT INTO history_claim VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dev, kind)"
        " DO UPDATE SET numbering = excluded.numbering, through = excluded.through,"
        " detail = excluded.detail, reported_s = excluded.reported_s, accepted = excluded.accepted",
        (*claim, int(accepted)),
    )


def delete_open_claim(connection: HubConnection, dev: str, kind: str) -> None:
    """Forget a claim that no longer holds. One that a person accepted stays."""
    connection.execute(
        "DELETE FROM history_claim WHERE dev = ? AND kind = ? AND accepted = 0", (dev, kind)
    )


def accepted_through(connection: HubConnection, dev: str, kind: str, numbering: str) -> int:
    """Return how much of a device's claim a person has accepted; 0: nothing."""
    row = connection.execute(
        "SELECT through FROM history_claim"
        " WHERE dev = ? AND kind = ? AND numbering = ? AND accepted = 1",
        (dev, kind, numbering),
    ).fetchone()
    return 0 if row is None else int(row[0])


def open_claims(connection: HubConnection, *, since_s: int) -> list[Claim]:
    """Return the claims that nobody has accepted, by device; none before ``since_s``."""
    rows = connection.execute(
        "SELECT dev, kind, numbering, through, detail, reported_s FROM history_claim"
        " WHERE accepted = 0 AND reported_s >= ? ORDER BY dev, kind",
        (since_s,),
    )
    return [Claim(*row) for row in rows.fetchall()]


def accept_claims(connection: HubConnection) -> None:
    """Accept every claim: a person has resumed the hub."""
    connection.execute("UPDATE history_claim SET accepted = 1")
