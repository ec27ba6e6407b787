"""Take batches of events: idempotent, each event on its own, and look for what was honoured too often.

An event with no effect (refused) is kept like any other, under its number, so that the numbering
has no holes and a refusal is repeated until the device has heard it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

from edge.store.outbox import RETRIES
from edge.token.claims import Kind
from sync import wire
from sync.hub import reviews
from sync.hub.about import STANDS, about, identity
from sync.hub.store import Connection
from sync.wire import Ack, BadEvent, Batch, Conflict, Event, Refused, Status

REDEEMED, REVERSED = "redeemed", "reversed"  # event types that change what is left of an entitlement
SEQUENCE_REUSED = "sequence_reused"  # another event has this number: two devices with one identity, or a copied card
BODY_INVALID = "body_invalid"
TOLD_BEFORE = "told_before"  # the same redemption is here under another number: it counts once
_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
_NUMBERS = 1000  # looked at in one go, for gaps
MOST_CONFLICTS = 50  # told in one acknowledgement


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a batch."""

    ack: Ack
    fresh: int  # events that were new
    repeated: int  # events that were here already
    refused: int  # refused just now
    also_tell: frozenset[str]  # other devices with a new conflict


@dataclass(frozen=True, slots=True)
class _Effect:
    """What an event does to an entitlement. ``units`` is None for a reversal, which names a use."""

    cti: bytes
    use_no: int
    units: int | None
    amount_minor: int | None


def take(connection: Connection, batch: Batch, now_s: int) -> Taken:
    """Store ``batch`` in the caller's transaction and return the acknowledgement to send once it has committed."""
    fresh = repeated = 0
    reused: list[Refused] = []
    also_tell: set[str] = set()
    refused = 0
    for event in batch.events:
        effect = _effect(event)
        reason = _refusal(event, effect) or _told_before(connection, batch, event, effect)
        if _insert(connection, batch, event, reason, now_s):
            fresh += 1
            refused += reason is not None
            if effect is not None and reason is None:
                also_tell |= _apply(connection, batch, event, effect, now_s)
            if reason is None:
                reviews.note(connection, batch.dev, batch.epoch, event)
        elif event.type == wire.WITHHELD or _is_same(connection, batch, event):
            repeated += 1
        else:
            reused.append(Refused(seq=event.seq, reason=SEQUENCE_REUSED, id=event.id))
            _keep_clash(connection, batch, event, now_s)
    for bad in batch.bad:
        refused += _insert_bad(connection, batch, bad, now_s)
    if batch.conflicts_through:
        connection.execute(
            "UPDATE conflict SET told = 1 WHERE dev = ? AND no <= ? AND told = 0", (batch.dev, batch.conflicts_through)
        )
    acked_through = _advance(connection, batch.dev, batch.epoch)
    ack = acknowledgement(
        connection,
        batch.dev,
        batch.epoch,
        acked_through=acked_through,
        settled_through=batch.settled_through,
        reused=reused,
    )
    numbers = [event.seq for event in batch.events] + [bad.seq for bad in batch.bad]
    ack = ack.model_copy(update={"first": min(numbers, default=0), "last": max(numbers, default=0), "tag": batch.tag})
    return Taken(ack, fresh, repeated, refused + len(reused), frozenset(also_tell - {batch.dev}))


def acknowledgement(
    connection: Connection,
    dev: str,
    epoch: str,
    *,
    acked_through: int,
    settled_through: int,
    reused: Iterable[Refused] = (),
) -> Ack:
    """What ``dev`` is to know. Every refusal that it has not settled yet is said again."""
    rows = connection.execute(
        "SELECT seq, refused, CASE WHEN type = ? THEN '' ELSE id END FROM event"
        " WHERE dev = ? AND epoch = ? AND refused IS NOT NULL AND seq > ? ORDER BY seq LIMIT 1000",
        (wire.WITHHELD, dev, epoch, settled_through),
    )
    rejected = [Refused(seq=seq, reason=reason, id=identity) for seq, reason, identity in rows.fetchall()]
    conflicts = connection.execute(
        "SELECT no, cti, epoch, seq, other_dev, other_ts FROM conflict WHERE dev = ? AND told = 0 ORDER BY no LIMIT ?",
        (dev, MOST_CONFLICTS),
    )
    return Ack(
        dev=dev,
        epoch=epoch,
        acked_through=acked_through,
        settled_through=settled_through,
        rejected=sorted([*rejected, *reused], key=lambda refused: refused.seq),
        conflicts=[
            Conflict(no=no, cti=cti.hex(), epoch=of, seq=seq, other_dev=other, other_ts=ts)
            for no, cti, of, seq, other, ts in conflicts
        ],
    )


def latest_epoch(connection: Connection, dev: str) -> tuple[str, int] | None:
    """The epoch that ``dev`` last sent events in, and how far it is acknowledged."""
    streams: dict[str, int] = dict(
        connection.execute("SELECT epoch, acked_through FROM stream WHERE dev = ? ORDER BY epoch", (dev,)).fetchall()
    )
    said = _said_epoch(connection, dev)
    epoch = said if said in streams else next(iter(streams), None)
    return None if epoch is None else (epoch, streams[epoch])


def note_status(connection: Connection, status: Status, now_s: int) -> bool:
    """Keep what a device says of itself. True when its epoch is one that it had left: then there are two of it.

    A new store begins a new epoch, and a device never goes back to an old one.
    """
    known = _said_epoch(connection, status.dev)
    seen = connection.execute("SELECT 1 FROM identity WHERE dev = ? AND epoch = ?", (status.dev, status.epoch))
    two = known is not None and known != status.epoch and seen.fetchone() is not None
    connection.execute(
        "INSERT INTO identity VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (status.dev, status.epoch, now_s)
    )
    connection.execute(
        "INSERT INTO status VALUES (?1, ?2, ?3) ON CONFLICT (dev) DO UPDATE SET status = ?2, received_s = ?3",
        (status.dev, status.model_dump_json(), now_s),
    )
    return two


def _said_epoch(connection: Connection, dev: str) -> str | None:
    """The epoch that ``dev`` last said it is in."""
    row = connection.execute("SELECT status FROM status WHERE dev = ?", (dev,)).fetchone()
    return None if row is None else str(json.loads(row[0])["epoch"])


def _insert(connection: Connection, batch: Batch, event: Event, refused: str | None, now_s: int) -> bool:
    body = _to_json(event.body)
    changed = connection.execute(
        "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (batch.dev, batch.epoch, event.seq, event.id, event.type, event.ts, event.ts_trust, body, now_s, refused),
    )
    return changed.rowcount == 1


def _insert_bad(connection: Connection, batch: Batch, bad: BadEvent, now_s: int) -> bool:
    changed = connection.execute(
        "INSERT INTO event VALUES (?, ?, ?, '', 'unreadable', 0, 'floor_only', ?, ?, ?) ON CONFLICT DO NOTHING",
        (batch.dev, batch.epoch, bad.seq, bad.raw, now_s, bad.reason),
    )
    return changed.rowcount == 1


def _is_same(connection: Connection, batch: Batch, event: Event) -> bool:
    (identity,) = connection.execute(
        "SELECT id FROM event WHERE dev = ? AND epoch = ? AND seq = ?", (batch.dev, batch.epoch, event.seq)
    ).fetchone()
    return bool(identity == event.id)


def _keep_clash(connection: Connection, batch: Batch, event: Event, now_s: int) -> None:
    connection.execute(
        "INSERT INTO clash VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (batch.dev, batch.epoch, event.seq, event.id, event.model_dump_json(), now_s),
    )


def _advance(connection: Connection, dev: str, epoch: str) -> int:
    known = connection.execute("SELECT acked_through FROM stream WHERE dev = ? AND epoch = ?", (dev, epoch)).fetchone()
    start = through = int(known[0]) if known else 0
    while numbers := _following(connection, dev, epoch, through):
        through = numbers[-1]
        if len(numbers) < _NUMBERS:
            break
    if known is None or through != start:
        connection.execute(
            "INSERT INTO stream (dev, epoch, acked_through) VALUES (?, ?, ?)"
            " ON CONFLICT (dev, epoch) DO UPDATE SET acked_through = excluded.acked_through",
            (dev, epoch, through),
        )
    return through


def _following(connection: Connection, dev: str, epoch: str, through: int) -> list[int]:
    """The numbers right after ``through``, without a gap, at most ``_NUMBERS`` of them."""
    later = connection.execute(
        "SELECT seq FROM event WHERE dev = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
        (dev, epoch, through, _NUMBERS),
    ).fetchall()
    return [seq for place, (seq,) in enumerate(later, 1) if seq == through + place]


def _effect(event: Event) -> _Effect | None:
    cti, use_no = event.body.get("cti"), event.body.get("use")
    units, amount_minor = event.body.get("units"), event.body.get("amount_minor")
    if event.type == REVERSED:
        units, amount_minor = None, None
    elif event.type != REDEEMED or not _whole(units, 1):
        return None
    if not isinstance(cti, str) or not wire.is_cti(cti) or not _whole(use_no, 1):
        return None
    if amount_minor is not None and not _whole(amount_minor, 0):
        return None
    return _Effect(bytes.fromhex(cti), use_no, units, amount_minor)


def _refusal(event: Event, effect: _Effect | None) -> str | None:
    if event.type == wire.WITHHELD:
        reason = event.body.get("reason")
        return reason if isinstance(reason, str) and wire.is_word(reason) else wire.WITHHELD
    return BODY_INVALID if effect is None and event.type in (REDEEMED, REVERSED) else None


def _told_before(connection: Connection, batch: Batch, event: Event, effect: _Effect | None) -> str | None:
    """Whether this redemption is here under another number, or one that takes its place, or whose place it takes.

    Somebody told the device that we refused it there, and it sent it again.
    """
    if effect is None or effect.units is None:
        return None
    rows = connection.execute(
        "SELECT e.id, e.body, r.ident FROM redemption r"
        " JOIN event e ON e.dev = r.dev AND e.epoch = r.epoch AND e.seq = r.seq"
        " WHERE r.cti = ? AND r.dev = ? AND NOT (r.epoch = ? AND r.seq = ?)",
        (effect.cti, batch.dev, batch.epoch, event.seq),
    )
    retries = event.body.get(RETRIES)
    mine = {event.id, retries if isinstance(retries, str) else event.id, identity(event)}
    told = any(mine & {ident, json.loads(body).get(RETRIES), first} for ident, body, first in rows.fetchall())
    return TOLD_BEFORE if told else None


def _whole(value: object, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= wire.MAX_SEQ


def _apply(connection: Connection, batch: Batch, event: Event, effect: _Effect, now_s: int) -> set[str]:
    """Write the effect. Where the entitlement is now overspent, record it for both devices; return the other one."""
    if effect.units is None:
        note_reversal(connection, batch.dev, batch.epoch, event)
        return set()
    connection.execute(
        "INSERT INTO redemption VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (cti, dev, epoch, seq) DO UPDATE SET ident = excluded.ident",  # known from a lease
        (
            effect.cti, batch.dev, effect.use_no, batch.epoch, event.seq, effect.units, effect.amount_minor, event.ts,
            identity(event),
        ),
    )  # fmt: skip
    if isinstance(claim := event.body.get("claim"), str):  # the leave that it rests on; any other is held on
        connection.execute("DELETE FROM held WHERE cti = ? AND dev = ? AND id = ?", (effect.cti, batch.dev, claim))
    if not _overspent(connection, effect.cti):
        return set()
    other = connection.execute(
        f"SELECT dev, epoch, seq, ts {_STANDING} AND NOT (dev = ?2 AND epoch = ?3 AND seq = ?4)"
        " ORDER BY dev = ?2, ts DESC LIMIT 1",  # rather another device's, the newest
        (effect.cti, batch.dev, batch.epoch, event.seq),
    ).fetchone()
    if other is None:
        return set()  # one redemption of more than was sold: nobody else is concerned
    mine = (batch.dev, batch.epoch, event.seq, event.ts)
    _conflict(connection, effect.cti, mine, other, now_s)
    _conflict(connection, effect.cti, other, mine, now_s)
    return {other[0]}


def note_reversal(connection: Connection, dev: str, epoch: str, event: Event) -> None:
    """Keep that ``dev`` took a use back."""
    effect = _effect(event)
    if effect is not None:
        connection.execute(
            "INSERT INTO reversal VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (effect.cti, dev, effect.use_no, about(epoch, event), epoch, event.seq, event.ts),
        )


_STANDING = f"FROM redemption r WHERE cti = ?1 AND {STANDS}"


def units_left(connection: Connection, cti: bytes) -> int | None:
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


def used(connection: Connection, cti: bytes, *, but: str = "") -> tuple[int, int]:
    """Units and minor units of money that devices other than ``but`` have honoured and not taken back."""
    row = connection.execute(
        f"SELECT coalesce(sum(units), 0), coalesce(sum(amount_minor), 0) {_STANDING} AND dev <> ?2", (cti, but)
    ).fetchone()
    return int(row[0]), int(row[1])


def _overspent(connection: Connection, cti: bytes) -> bool:
    left = units_left(connection, cti)
    return left is not None and left < 0


def _conflict(
    connection: Connection,
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
