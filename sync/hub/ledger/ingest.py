"""Ingest batches of events: each event once and on its own, in the caller's transaction.

A refused event has no effect. It is stored like any other, under its number, so that the numbering
has no gaps. The refusal is repeated until the device holds it as acknowledged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pydantic_core import to_json

from edge.domain.upload_refusal import UploadRefusal
from sync.hub.ledger import redemptions, reviews
from sync.hub.store import conflict_table, event_table, status_table
from sync.hub.store.interface import HubConnection
from sync.wire import codec
from sync.wire.messages import (
    MAX_SEQ,
    MOST_CONFLICTS,
    MOST_REFUSALS,
    Ack,
    Batch,
    Conflict,
    Event,
    RefusedItem,
    Status,
)

_NUMBERS: Final = 1000  # looked at in one go, for gaps


@dataclass(frozen=True, slots=True)
class IngestResult:
    """The outcome of a batch."""

    ack: Ack
    fresh: int  # events that were new
    repeated: int  # events that were stored already
    refused: int  # events that were refused just now
    also_notify: frozenset[str]  # other devices with a new conflict


@dataclass(slots=True)
class _Tally:
    """The outcome of the events of a batch so far."""

    fresh: int = 0
    repeated: int = 0
    refused: int = 0
    reused: list[RefusedItem] = field(default_factory=list)
    also_notify: set[str] = field(default_factory=set)


def ingest_batch(connection: HubConnection, batch: Batch, now_s: int) -> IngestResult:
    """Store ``batch`` and return the acknowledgement to send after the transaction commits."""
    tally = _Tally()
    for event in batch.events:
        _ingest_event(connection, batch, event, now_s, tally)
    for bad in batch.bad:
        tally.refused += event_table.insert_unreadable(
            connection, batch.dev, batch.epoch, bad, received_s=now_s
        )
    if batch.conflicts_through:
        conflict_table.acknowledge_conflicts(connection, batch.dev, through=batch.conflicts_through)
    ack, unnamed = _acknowledgement(
        connection,
        batch.dev,
        batch.epoch,
        committed_through=_advance(connection, batch.dev, batch.epoch),
        acknowledged_through=batch.acknowledged_through,
        reused=tally.reused,
    )
    numbers = [event.seq for event in batch.events] + [bad.seq for bad in batch.bad]
    first, last = min(numbers, default=0), min(max(numbers, default=0), unnamed - 1)
    if last < first:
        first = last = 0
    compared = {"first": first, "last": last, "tag": batch.tag}
    return IngestResult(
        ack.model_copy(update=compared),
        tally.fresh,
        tally.repeated,
        tally.refused + len(tally.reused),
        frozenset(tally.also_notify - {batch.dev}),
    )


def acknowledgement(
    connection: HubConnection,
    dev: str,
    epoch: str,
    *,
    committed_through: int,
    acknowledged_through: int,
) -> Ack:
    """Return the acknowledgement for ``dev``. It repeats refusals until the device holds them."""
    ack, _ = _acknowledgement(
        connection,
        dev,
        epoch,
        committed_through=committed_through,
        acknowledged_through=acknowledged_through,
    )
    return ack


def _acknowledgement(
    connection: HubConnection,
    dev: str,
    epoch: str,
    *,
    committed_through: int,
    acknowledged_through: int,
    reused: Iterable[RefusedItem] = (),
) -> tuple[Ack, int]:
    """Return the acknowledgement, and the first refused number that does not fit into it.

    No number from that one on may count as compared: the device would take it as accepted.
    """
    rows = event_table.refused_events(
        connection, dev, epoch, after_seq=acknowledged_through, limit=MOST_REFUSALS + 1
    )
    rejected = {
        seq: RefusedItem(seq=seq, reason=reason, id="" if kind == codec.WITHHELD else identity)
        for seq, kind, identity, reason in rows
    }
    rejected |= {item.seq: item for item in reused}  # not the refusal of another event
    in_order = [rejected[seq] for seq in sorted(rejected)]
    unnamed = in_order[MOST_REFUSALS].seq if len(in_order) > MOST_REFUSALS else MAX_SEQ + 1
    conflicts = conflict_table.open_conflicts(connection, dev, MOST_CONFLICTS)
    ack = Ack(
        dev=dev,
        epoch=epoch,
        committed_through=committed_through,
        acknowledged_through=acknowledged_through,
        rejected=in_order[:MOST_REFUSALS],
        conflicts=[
            Conflict(number=no, cti=cti.hex(), epoch=of, seq=seq, other_dev=other, other_ts=ts)
            for no, cti, of, seq, other, ts in conflicts
        ],
    )
    return ack, unnamed


def latest_epoch(connection: HubConnection, dev: str) -> tuple[str, int] | None:
    """Return the epoch that ``dev`` last sent events in, and its acknowledged number."""
    streams = event_table.streams_of(connection, dev)
    named = _current_epoch(connection, dev)
    epoch = named if named in streams else next(iter(streams), None)
    return None if epoch is None else (epoch, streams[epoch])


def record_status(connection: HubConnection, status: Status, now_s: int) -> bool:
    """Store the status of a device. Return True when two devices use its identity.

    A new store begins a new epoch, and a device never returns to an old one. A status that names
    an epoch before the current one therefore comes from another device.
    """
    current = _current_epoch(connection, status.dev)
    two = (
        current is not None
        and current != status.epoch
        and status_table.was_in_epoch(connection, status.dev, status.epoch)
    )
    status_table.put_status(connection, status, received_s=now_s)
    return two


def _ingest_event(
    connection: HubConnection, batch: Batch, event: Event, now_s: int, tally: _Tally
) -> None:
    effect = redemptions.effect_of(event)
    first = effect is not None and redemptions.is_first(connection, effect)
    refused = _refusal(connection, batch, event, effect, first=first)
    if not event_table.insert_event(
        connection,
        batch.dev,
        batch.epoch,
        event,
        body=to_json(event.body).decode(),
        refused=refused,
        received_s=now_s,
    ):
        _compare(connection, batch, event, now_s, tally)
        return
    tally.fresh += 1
    if refused is not None:
        tally.refused += 1
        return
    if effect is not None:
        tally.also_notify |= redemptions.apply_effect(
            connection, batch, event, effect, now_s, first=first
        )
    reviews.record_event(connection, batch.dev, batch.epoch, event)


def _refusal(
    connection: HubConnection,
    batch: Batch,
    event: Event,
    effect: redemptions.Effect | None,
    *,
    first: bool,
) -> str | None:
    """Return why an event has no effect; None for one that is not refused."""
    if event.type == codec.WITHHELD:
        reason = event.body.get("reason")
        return reason if isinstance(reason, str) and codec.is_word(reason) else codec.WITHHELD
    if effect is None:
        changes_what_is_left = event.type in (redemptions.REDEEMED, redemptions.REVERSED)
        return UploadRefusal.BODY_INVALID.value if changes_what_is_left else None
    if not first and redemptions.is_reported(connection, batch, event, effect):
        return UploadRefusal.ALREADY_REPORTED.value
    return None


def _compare(
    connection: HubConnection, batch: Batch, event: Event, now_s: int, tally: _Tally
) -> None:
    """Count an event whose number is taken as repeated, or store it as a conflict if it differs."""
    if (
        event.type == codec.WITHHELD
        or event_table.event_id(connection, batch.dev, batch.epoch, event.seq) == event.id
    ):
        tally.repeated += 1
        return
    tally.reused.append(
        RefusedItem(seq=event.seq, reason=UploadRefusal.SEQUENCE_REUSED, id=event.id)
    )
    event_table.insert_sequence_conflict(
        connection, batch.dev, batch.epoch, event, received_s=now_s
    )


def _current_epoch(connection: HubConnection, dev: str) -> str | None:
    """Return the epoch that the last status of ``dev`` names."""
    row = status_table.status_of(connection, dev)
    return None if row is None else str(json.loads(row[0])["epoch"])


def _advance(connection: HubConnection, dev: str, epoch: str) -> int:
    """Acknowledge up to the first gap in the numbers and return that number."""
    known = event_table.committed_through(connection, dev, epoch)
    start = through = known or 0
    while numbers := _following(connection, dev, epoch, through):
        through = numbers[-1]
        if len(numbers) < _NUMBERS:
            break
    if known is None or through != start:
        event_table.set_committed_through(connection, dev, epoch, through)
    return through


def _following(connection: HubConnection, dev: str, epoch: str, through: int) -> list[int]:
    """Return the numbers right after ``through`` without a gap, at most ``_NUMBERS`` of them."""
    later = event_table.numbers_after(connection, dev, epoch, through, limit=_NUMBERS)
    return [seq for place, seq in enumerate(later, 1) if seq == through + place]
