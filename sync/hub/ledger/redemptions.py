"""What was honoured of each entitlement, and what was honoured too often."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypeGuard

from edge.store.outbox import RETRY_OF
from edge.token.claims import Kind
from sync.hub.ledger.redemption_identity import STANDS, identity, redemption_named_by
from sync.hub.store.interface import HubConnection
from sync.wire import codec
from sync.wire.messages import MAX_SEQ, Batch, Event

REDEEMED, REVERSED = (
    "redeemed",
    "reversed",
)  # event types that change what is left of an entitlement
ALREADY_REPORTED = (
    "already_reported"  # the same redemption is here under another number: it counts once
)


@dataclass(frozen=True, slots=True)
class Effect:
    """What an event does to an entitlement. ``units`` is None for a reversal; ``redemption`` says of which."""

    cti: bytes
    use_no: int
    units: int | None
    amount_minor: int | None
    redemption: str


def effect_of(event: Event) -> Effect | None:
    """What ``event`` does to an entitlement; None for nothing, or for what cannot be read."""
    cti, use_no = event.body.get("cti"), event.body.get("use")
    units, amount_minor = event.body.get("units"), event.body.get("amount_minor")
    redemption: str | None = identity(event)
    if event.type == REVERSED:
        units, amount_minor, redemption = None, None, redemption_named_by(event)
    elif event.type != REDEEMED or not _whole(units, 1):
        return None
    if (
        redemption is None
        or not isinstance(cti, str)
        or not codec.is_cti(cti)
        or not _whole(use_no, 1)
    ):
        return None
    if amount_minor is not None and not _whole(amount_minor, 0):
        return None
    return Effect(bytes.fromhex(cti), use_no, units, amount_minor, redemption)


def is_first(connection: HubConnection, effect: Effect) -> bool:
    """Whether nothing was honoured of the entitlement before: most redemptions are first, and soon done with."""
    known = connection.execute(
        "SELECT 1 FROM redemption WHERE cti = ? LIMIT 1", (effect.cti,)
    ).fetchone()
    return known is None


def already_reported(
    connection: HubConnection, batch: Batch, event: Event, effect: Effect
) -> str | None:
    """Whether this redemption is here under another number, or one that takes its place, or whose place it takes.

    Somebody told the device that we refused it there, and it sent it again.
    """
    if effect.units is None:
        return None
    rows = connection.execute(
        "SELECT e.id, e.body, r.id FROM redemption r"
        " JOIN event e ON e.dev = r.dev AND e.epoch = r.epoch AND e.seq = r.seq"
        " WHERE r.cti = ? AND r.dev = ? AND NOT (r.epoch = ? AND r.seq = ?)",
        (effect.cti, batch.dev, batch.epoch, event.seq),
    )
    retries = event.body.get(RETRY_OF)
    mine = {event.id, retries if isinstance(retries, str) else event.id, effect.redemption}
    told = any(
        mine & {ident, json.loads(body).get(RETRY_OF), first}
        for ident, body, first in rows.fetchall()
    )
    return ALREADY_REPORTED if told else None


def apply(
    connection: HubConnection,
    batch: Batch,
    event: Event,
    effect: Effect,
    now_s: int,
    *,
    first: bool,
) -> set[str]:
    """Write the effect. Where the entitlement is now overspent, record it for both devices; return the other one.

    ``first`` as ``is_first`` said before: then there is no other, however much was honoured.
    """
    if effect.units is None:
        connection.execute(
            "INSERT INTO reversal VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (effect.cti, batch.dev, effect.redemption, batch.epoch, event.seq),
        )
        return set()
    connection.execute(
        "INSERT INTO redemption VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",  # known from a lease
        (
            effect.cti, batch.dev, effect.use_no, batch.epoch, event.seq, effect.units, effect.amount_minor, event.ts,
            effect.redemption,
        ),
    )  # fmt: skip
    if isinstance(
        claim := event.body.get("grant_request"), str
    ):  # the leave that it rests on; any other is held on
        connection.execute(
            "DELETE FROM held WHERE cti = ? AND dev = ? AND id = ?", (effect.cti, batch.dev, claim)
        )
    if first or not _overspent(connection, effect.cti):
        return set()
    other = connection.execute(
        f"SELECT dev, epoch, seq, ts {_STANDING} AND NOT (dev = ? AND epoch = ? AND seq = ?)"
        " ORDER BY dev = ?, ts DESC LIMIT 1",  # rather another device's, the newest
        (effect.cti, batch.dev, batch.epoch, event.seq, batch.dev),
    ).fetchone()
    if other is None:
        return set()  # one redemption of more than was sold: nobody else is concerned
    mine = (batch.dev, batch.epoch, event.seq, event.ts)
    connection.lock_conflict_numbers()
    _conflict(connection, effect.cti, mine, other, now_s)
    _conflict(connection, effect.cti, other, mine, now_s)
    return {other[0]}


_STANDING = f"FROM redemption r WHERE cti = ? AND {STANDS}"


def units_left(connection: HubConnection, cti: bytes) -> int | None:
    """Uses not yet honoured (below zero: too often), or None for an entitlement that is not known.

    A voucher with a value and one use is honoured in parts: it has a use left while there is value left.
    """
    row = connection.execute("SELECT line FROM entitlement WHERE cti = ?", (cti,)).fetchone()
    if row is None:
        return None
    sold = json.loads(row[0])
    units, amount = used(connection, cti)
    if sold["quantity"] == 1 and sold["amount_minor"] and sold["kind"] == Kind.WRITE_OFF.code:
        left = int(sold["amount_minor"] - amount)
        return 1 if left > 0 else 0 if left == 0 else -1
    return int(sold["quantity"] - units)


def used(connection: HubConnection, cti: bytes, *, but: str = "") -> tuple[int, int]:
    """Units and minor units of money that devices other than ``but`` have honoured and not taken back."""
    row = connection.execute(
        f"SELECT coalesce(sum(units), 0), coalesce(sum(amount_minor), 0) {_STANDING} AND dev <> ?",
        (cti, but),
    ).fetchone()
    return int(row[0]), int(row[1])


def _overspent(connection: HubConnection, cti: bytes) -> bool:
    left = units_left(connection, cti)
    return left is not None and left < 0


def _conflict(
    connection: HubConnection,
    cti: bytes,
    mine: tuple[str, str, int, int],
    other: tuple[str, str, int, int],
    now_s: int,
) -> None:
    connection.execute(
        "INSERT INTO conflict (dev, cti, epoch, seq, other_dev, other_epoch, other_seq, other_ts, found_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (mine[0], cti, mine[1], mine[2], *other, now_s),
    )


def _whole(value: object, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_SEQ
