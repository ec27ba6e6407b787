"""Take batches of events: idempotent, each event on its own, and look for what was honoured too often.

An event with no effect (refused) is kept like any other, under its number, so that the numbering
has no holes and a refusal is repeated until the device has heard it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sync.hub.ledger import redemptions, reviews
from sync.hub.store.interface import HubConnection
from sync.wire import codec
from sync.wire.messages import Ack, BadEvent, Batch, Conflict, Event, RefusedItem, Status

SEQUENCE_REUSED = "sequence_reused"  # another event has this number: two devices with one identity, or a copied card
BODY_INVALID = "body_invalid"
_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
_NUMBERS = 1000  # looked at in one go, for gaps
MOST_CONFLICTS = 50  # told in one acknowledgement


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What came of a batch."""

    ack: Ack
    fresh: int  # events that were new
    repeated: int  # events that were here already
    refused: int  # refused just now
    also_tell: frozenset[str]  # other devices with a new conflict


def take(connection: HubConnection, batch: Batch, now_s: int) -> IngestResult:
    """Store ``batch`` in the caller's transaction and return the acknowledgement to send once it has committed."""
    fresh = repeated = 0
    reused: list[RefusedItem] = []
    also_tell: set[str] = set()
    refused = 0
    for event in batch.events:
        effect = redemptions.effect_of(event)
        first = effect is not None and redemptions.is_first(connection, effect)
        reason = _refusal(event, effect)
        if reason is None and effect is not None and not first:
            reason = redemptions.already_reported(connection, batch, event, effect)
        if _insert(connection, batch, event, reason, now_s):
            fresh += 1
            refused += reason is not None
            if effect is not None and reason is None:
                also_tell |= redemptions.apply(connection, batch, event, effect, now_s, first=first)
            if reason is None:
                reviews.note(connection, batch.dev, batch.epoch, event)
        elif event.type == codec.WITHHELD or _is_same(connection, batch, event):
            repeated += 1
        else:
            reused.append(RefusedItem(seq=event.seq, reason=SEQUENCE_REUSED, id=event.id))
            _keep_clash(connection, batch, event, now_s)
    for bad in batch.bad:
        refused += _insert_bad(connection, batch, bad, now_s)
    if batch.conflicts_through:
        connection.execute(
            "UPDATE conflict SET told = 1 WHERE dev = ? AND no <= ? AND told = 0",
            (batch.dev, batch.conflicts_through),
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
    ack = ack.model_copy(
        update={"first": min(numbers, default=0), "last": max(numbers, default=0), "tag": batch.tag}
    )
    return IngestResult(
        ack, fresh, repeated, refused + len(reused), frozenset(also_tell - {batch.dev})
    )


def acknowledgement(
    connection: HubConnection,
    dev: str,
    epoch: str,
    *,
    acked_through: int,
    settled_through: int,
    reused: Iterable[RefusedItem] = (),
) -> Ack:
    """What ``dev`` is to know. Every refusal that it has not settled yet is said again."""
    rows = connection.execute(
        "SELECT seq, refused, CASE WHEN type = ? THEN '' ELSE id END FROM event"
        " WHERE dev = ? AND epoch = ? AND refused IS NOT NULL AND seq > ? ORDER BY seq LIMIT 1000",
        (codec.WITHHELD, dev, epoch, settled_through),
    )
    rejected = [
        RefusedItem(seq=seq, reason=reason, id=identity)
        for seq, reason, identity in rows.fetchall()
    ]
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
            Conflict(number=no, cti=cti.hex(), epoch=of, seq=seq, other_dev=other, other_ts=ts)
            for no, cti, of, seq, other, ts in conflicts
        ],
    )


def latest_epoch(connection: HubConnection, dev: str) -> tuple[str, int] | None:
    """The epoch that ``dev`` last sent events in, and how far it is acknowledged."""
    streams: dict[str, int] = dict(
        connection.execute(
            "SELECT epoch, acked_through FROM stream WHERE dev = ? ORDER BY epoch", (dev,)
        ).fetchall()
    )
    said = _said_epoch(connection, dev)
    epoch = said if said in streams else next(iter(streams), None)
    return None if epoch is None else (epoch, streams[epoch])


def note_status(connection: HubConnection, status: Status, now_s: int) -> bool:
    """Keep what a device says of itself. True when its epoch is one that it had left: then there are two of it.

    A new store begins a new epoch, and a device never goes back to an old one.
    """
    known = _said_epoch(connection, status.dev)
    seen = connection.execute(
        "SELECT 1 FROM identity WHERE dev = ? AND epoch = ?", (status.dev, status.epoch)
    )
    two = known is not None and known != status.epoch and seen.fetchone() is not None
    connection.execute(
        "INSERT INTO identity VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (status.dev, status.epoch, now_s),
    )
    connection.execute(
        "INSERT INTO status VALUES (?, ?, ?) ON CONFLICT (dev)"
        " DO UPDATE SET status = excluded.status, received_s = excluded.received_s",
        (status.dev, status.model_dump_json(), now_s),
    )
    return two


def _said_epoch(connection: HubConnection, dev: str) -> str | None:
    """The epoch that ``dev`` last said it is in."""
    row = connection.execute("SELECT status FROM status WHERE dev = ?", (dev,)).fetchone()
    return None if row is None else str(json.loads(row[0])["epoch"])


def _insert(
    connection: HubConnection, batch: Batch, event: Event, refused: str | None, now_s: int
) -> bool:
    body = _to_json(event.body)
    changed = connection.execute(
        "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            batch.dev,
            batch.epoch,
            event.seq,
            event.id,
            event.type,
            event.ts,
            event.ts_trust,
            body,
            now_s,
            refused,
        ),
    )
    return changed.rowcount == 1


def _insert_bad(connection: HubConnection, batch: Batch, bad: BadEvent, now_s: int) -> bool:
    changed = connection.execute(
        "INSERT INTO event VALUES (?, ?, ?, '', 'unreadable', 0, 'floor_only', ?, ?, ?) ON CONFLICT DO NOTHING",
        (batch.dev, batch.epoch, bad.seq, bad.raw, now_s, bad.reason),
    )
    return changed.rowcount == 1


def _is_same(connection: HubConnection, batch: Batch, event: Event) -> bool:
    (identity,) = connection.execute(
        "SELECT id FROM event WHERE dev = ? AND epoch = ? AND seq = ?",
        (batch.dev, batch.epoch, event.seq),
    ).fetchone()
    return bool(identity == event.id)


def _keep_clash(connection: HubConnection, batch: Batch, event: Event, now_s: int) -> None:
    connection.execute(
        "INSERT INTO clash VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (batch.dev, batch.epoch, event.seq, event.id, event.model_dump_json(), now_s),
    )


def _advance(connection: HubConnection, dev: str, epoch: str) -> int:
    known = connection.execute(
        "SELECT acked_through FROM stream WHERE dev = ? AND epoch = ?", (dev, epoch)
    ).fetchone()
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


def _following(connection: HubConnection, dev: str, epoch: str, through: int) -> list[int]:
    """The numbers right after ``through``, without a gap, at most ``_NUMBERS`` of them."""
    later = connection.execute(
        "SELECT seq FROM event WHERE dev = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
        (dev, epoch, through, _NUMBERS),
    ).fetchall()
    return [seq for place, (seq,) in enumerate(later, 1) if seq == through + place]


def _refusal(event: Event, effect: redemptions.Effect | None) -> str | None:
    if event.type == codec.WITHHELD:
        reason = event.body.get("reason")
        return reason if isinstance(reason, str) and codec.is_word(reason) else codec.WITHHELD
    return (
        BODY_INVALID
        if effect is None and event.type in (redemptions.REDEEMED, redemptions.REVERSED)
        else None
    )
