"""The redemptions of each entitlement, and the conflicts between them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, TypeGuard

from edge.token.claims import Kind
from sync.hub.ledger.redemption_identity import names_of, redemption_id_of, redemption_named_by
from sync.hub.store import conflict_table, feed_table, grant_table, redemption_table
from sync.hub.store.interface import HubConnection
from sync.hub.store.redemption_table import RedemptionEvent, RedemptionRow
from sync.wire import codec
from sync.wire.messages import MAX_SEQ, Batch, Event

# Types of the events that change how many uses of an entitlement remain.
REDEEMED: Final = "redeemed"
REVERSED: Final = "reversed"


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of an event on an entitlement. ``units`` is None for a reversal."""

    cti: bytes
    use_no: int
    units: int | None
    amount_minor: int | None
    redemption_id: str  # which redemption this is, or reverses
    expires_s: int | None = None  # Unix seconds, of the code


def effect_of(event: Event) -> Effect | None:
    """Return the effect of ``event``; None if it has none or cannot be read."""
    cti, use_no = event.body.get("cti"), event.body.get("use")
    units, amount_minor = event.body.get("units"), event.body.get("amount_minor")
    redemption_id: str | None = redemption_id_of(event)
    if event.type == REVERSED:
        units, amount_minor, redemption_id = None, None, redemption_named_by(event)
    elif event.type != REDEEMED or not _whole(units, 1):
        return None
    if (
        redemption_id is None
        or not isinstance(cti, str)
        or not codec.is_cti(cti)
        or not _whole(use_no, 1)
    ):
        return None
    if amount_minor is not None and not _whole(amount_minor, 0):
        return None
    expires_s = event.body.get("expires_s")
    known_s = expires_s if _whole(expires_s, 0) else None  # not known: it is never retired
    return Effect(bytes.fromhex(cti), use_no, units, amount_minor, redemption_id, known_s)


def is_first(connection: HubConnection, effect: Effect) -> bool:
    """Return whether nothing was redeemed of the entitlement before.

    This is true of most events, and then the slower checks are not needed.
    """
    return not redemption_table.has_redemption(connection, effect.cti)


def is_reported(connection: HubConnection, batch: Batch, event: Event, effect: Effect) -> bool:
    """Return whether another event of the device has reported this redemption.

    This happens after a false acknowledgement that reported the event as refused: the device sends
    the redemption again. The two events name the same redemption, or one replaces the other.
    """
    if effect.units is None:
        return False
    return any(
        redemption_table.is_known(
            connection, effect.cti, batch.dev, name, epoch=batch.epoch, seq=event.seq
        )
        for name in names_of(event)
    )


def apply_effect(
    connection: HubConnection,
    batch: Batch,
    event: Event,
    effect: Effect,
    now_s: int,
    *,
    first: bool,
) -> set[str]:
    """Write the effect of an event. Return the other device if the entitlement is now overspent.

    ``first`` is the earlier result of ``is_first``. If true, no other device is concerned, however
    much was redeemed.
    """
    if effect.units is None:
        redemption_table.insert_reversal(
            connection,
            effect.cti,
            batch.dev,
            effect.redemption_id,
            epoch=batch.epoch,
            seq=event.seq,
        )
        return set()
    row = RedemptionRow(
        effect.cti, batch.dev, effect.use_no, batch.epoch, event.seq, effect.units,
        effect.amount_minor, event.ts, effect.redemption_id, effect.expires_s,
    )  # fmt: skip  # a row
    redemption_table.insert_redemption(connection, row, names_of(event) - {effect.redemption_id})
    if isinstance(grant := event.body.get("grant_request"), str):  # any other grant stays held
        grant_table.delete_grant(connection, effect.cti, batch.dev, grant)
    if first or not _is_overspent(connection, effect.cti):
        return set()
    mine = RedemptionEvent(batch.dev, batch.epoch, event.seq, event.ts)
    return _record_conflict(connection, effect.cti, mine, now_s)


def units_left(connection: HubConnection, cti: bytes) -> int | None:
    """Return the remaining uses, below zero if overspent; None for an unknown entitlement.

    A voucher with a value and one use is redeemed in parts: one use remains while value remains.
    """
    row = feed_table.entitlement_of(connection, cti)
    if row is None:
        return None
    sold = json.loads(row[1])
    units, amount = redemption_table.total_redeemed(connection, cti)
    if sold["quantity"] == 1 and sold["amount_minor"] and sold["kind"] == Kind.WRITE_OFF.code:
        left = int(sold["amount_minor"] - amount)
        return 1 if left > 0 else 0 if left == 0 else -1
    return int(sold["quantity"] - units)


def _record_conflict(
    connection: HubConnection, cti: bytes, mine: RedemptionEvent, now_s: int
) -> set[str]:
    """Record that ``mine`` and another redemption exclude each other; return the other device."""
    other = redemption_table.newest_other(connection, cti, mine)
    if other is None:
        return set()  # one redemption of more than was sold concerns no other device
    conflict_table.insert_conflicts(connection, cti, mine, other, found_s=now_s)
    return {other.dev}


def _is_overspent(connection: HubConnection, cti: bytes) -> bool:
    left = units_left(connection, cti)
    return left is not None and left < 0


def _whole(value: object, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_SEQ
