"""Ingest batches of events: each event once and on its own, in the caller's transactions.

A large batch may be stored in several transactions (``BatchIngest``), so that it delays no other
device for long. It is acknowledged after the last. A refused event has no effect. It is stored like
any other, under its number, so that the numbering has no gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from pydantic_core import to_json

from edge.domain.upload_refusal import UploadRefusal
from sync.hub.ledger import acknowledgements, redemptions, reviews
from sync.hub.store import conflict_table, event_table, status_table
from sync.hub.store.interface import HubConnection, UnfitValueError
from sync.wire import codec
from sync.wire.messages import (
    Ack,
    BadEvent,
    Batch,
    Event,
    MessageFault,
    RefusedItem,
    Status,
)

PART_EVENTS: Final = 100  # of a batch, at most, in one transaction


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
    """The outcome of some events."""

    fresh: int = 0
    repeated: int = 0
    refused: int = 0
    reused: list[RefusedItem] = field(default_factory=list)
    also_notify: set[str] = field(default_factory=set)

    def add(self, other: _Tally) -> None:
        """Add the outcome of further events."""
        self.fresh += other.fresh
        self.repeated += other.repeated
        self.refused += other.refused
        self.reused += other.reused
        self.also_notify |= other.also_notify


@dataclass(slots=True)
class BatchIngest:
    """A batch on its way into the store, and how far it is."""

    batch: Batch
    _ingested: int = 0  # events
    _tally: _Tally = field(default_factory=_Tally)

    @property
    def next_events(self) -> tuple[Event, ...]:
        """The events that the next transaction may store."""
        return self.batch.events[self._ingested : self._ingested + PART_EVENTS]

    def advance(
        self, connection: HubConnection, now_s: int, *, may_continue: Callable[[], bool]
    ) -> IngestResult | None:
        """Store some of ``next_events``, in the caller's transaction.

        Return None when others of the batch are left. At least one is stored, and no other after
        ``may_continue`` has returned False. If the transaction fails, the batch is of no more use.
        """
        events = self.next_events
        try:
            with connection.part():
                tally, count = _ingest_events(connection, self.batch, events, now_s, may_continue)
        except UnfitValueError:
            tally, count = _ingest_one_by_one(connection, self.batch, events, now_s), len(events)
        self._tally.add(tally)
        self._ingested += count
        if self._ingested < len(self.batch.events):
            return None
        return _finish(connection, self.batch, self._tally, now_s)


def ingest_batch(connection: HubConnection, batch: Batch, now_s: int) -> IngestResult:
    """Store ``batch`` and return the acknowledgement to send after the transaction commits."""
    ingest = BatchIngest(batch)
    while (result := ingest.advance(connection, now_s, may_continue=lambda: True)) is None:
        pass
    return result


def record_status(connection: HubConnection, status: Status, now_s: int) -> bool:
    """Store the status of a device. Return True when two devices use its identity.

    A new store begins a new epoch, and a device never returns to an old one. A status that names
    an epoch before the current one therefore comes from another device.
    """
    current = acknowledgements.current_epoch(connection, status.dev)
    two = (
        current is not None
        and current != status.epoch
        and status_table.was_in_epoch(connection, status.dev, status.epoch)
    )
    status_table.put_status(connection, status, received_s=now_s)
    return two


def _ingest_events(
    connection: HubConnection,
    batch: Batch,
    events: Iterable[Event],
    now_s: int,
    may_continue: Callable[[], bool],
) -> tuple[_Tally, int]:
    """Return the outcome and the number of the events that were ingested."""
    tally, count = _Tally(), 0
    for event in events:
        _ingest_event(connection, batch, event, now_s, tally)
        count += 1
        if not may_continue():
            break
    return tally, count


def _ingest_one_by_one(
    connection: HubConnection, batch: Batch, events: Iterable[Event], now_s: int
) -> _Tally:
    """Ingest the events, and refuse those with a value that the store cannot hold.

    The wire refuses such values before, so that this is the exception. It saves the others of a
    batch, and the process, from a kind of value that is not known there.
    """
    tally = _Tally()
    for event in events:
        alone = _Tally()
        try:
            with connection.part():
                _ingest_event(connection, batch, event, now_s, alone)
        except UnfitValueError:
            unfit = BadEvent(event.seq, MessageFault.VALUE_UNFIT.value, codec.excerpt(event))
            alone = _Tally(refused=_insert_unreadable(connection, batch, unfit, now_s))
        tally.add(alone)
    return tally


def _finish(connection: HubConnection, batch: Batch, tally: _Tally, now_s: int) -> IngestResult:
    """Store what a batch holds beside its events, and return its outcome."""
    for bad in batch.bad:
        tally.refused += _insert_unreadable(connection, batch, bad, now_s)
    if batch.conflicts_through:
        conflict_table.acknowledge_conflicts(connection, batch.dev, through=batch.conflicts_through)
    ack, unnamed = acknowledgements.for_batch(
        connection,
        batch.dev,
        batch.epoch,
        committed_through=acknowledgements.advance(connection, batch.dev, batch.epoch),
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


def _insert_unreadable(connection: HubConnection, batch: Batch, bad: BadEvent, now_s: int) -> int:
    return event_table.insert_unreadable(connection, batch.dev, batch.epoch, bad, received_s=now_s)


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
