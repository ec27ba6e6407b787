"""The sending half of the outbox: in order, a window at a time, until the platform acknowledges.

Only the platform's own acknowledgement closes a row. Nothing is remembered here that matters: what
is in flight is known only so that it is not sent twice in vain. A new connection, a restart or
silence sends again from the last acknowledged event, and the hub ingests each (device, epoch, seq)
once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from enum import StrEnum
from typing import Final

from edge.domain.upload_refusal import LOST
from edge.store import authorisations, outbox
from edge.store.database.store import Store
from edge.store.epochs import end_epoch
from edge.store.outbox import AcknowledgeResult, OutboxRow
from edge.values.instant import Instant
from sync.agent import ack_intake
from sync.agent.ack_intake import AckIntake
from sync.agent.response_timer import ResponseTimer
from sync.agent.timings import AGENT_TIMINGS, AgentTimings
from sync.wire import codec
from sync.wire.limits import PageBounds
from sync.wire.messages import Ack, Event, MessageFault, MessageRefusal, RefusedItem

SLOW_LINE: Final = 4000  # bytes a second: more on its way has more time before it is sent again

Send = Callable[[bytes], bool]  # publish a batch; False when there is no room now


class AckEffect(StrEnum):
    """What an acknowledgement did."""

    ACKNOWLEDGED = "acknowledged"
    NOTHING_NEW = "nothing_new"
    REWOUND = "platform_lost_events"  # it was restored from a backup, and gets them again
    AHEAD = "store_outdated"  # an old copy of this store was put back
    NOT_BELIEVED = ack_intake.NOT_BELIEVED  # it asks for one more epoch, too soon


class Uplink:
    """Sends events. ``window`` is the most events without an acknowledgement."""

    def __init__(
        self,
        store: Store,
        device: str,
        *,
        window: int,
        random_bytes: Callable[[int], bytes],
        timings: AgentTimings = AGENT_TIMINGS,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timings = timings
        self._store = store
        self._intake = AckIntake(store, random_bytes=random_bytes, monotonic_s=monotonic_s)
        self._device = device
        self._window = window
        self._random_bytes = random_bytes
        self._tag = random_bytes(4).hex()
        self._epoch = ""
        self._in_flight: deque[int] = deque()
        # Of each batch in flight, its last number and its size in bytes.
        self._sent: deque[tuple[int, int]] = deque()
        # First to last of acknowledged batches that wait for one before them.
        self._compared: dict[int, int] = {}
        self._committed_through = 0  # the highest that the platform acknowledged of this epoch
        self._resend_s = timings.resend_s
        self._waiting_since_s: float | None = None  # for an acknowledgement of what was sent last
        self.replies = ResponseTimer()
        self.refused_now: list[RefusedItem] = []  # by the last acknowledgement, for the first time
        self.conflicts_now: list[int] = []
        self._probe_due_s = 0.0
        self._probe_earlier = False  # where the platform is in the epochs before this one
        self._probe_requested = False  # and not sent yet, whatever is acknowledged meanwhile
        self._may_have_more = True  # the outbox may hold something that is not in flight

    def problems(self, monotonic_s: float) -> dict[str, str]:
        """Return what acknowledgements ask in vain, as name to detail."""
        return self._intake.problems(monotonic_s)

    def start_over(self, monotonic_s: float) -> None:
        """Begin on a new connection, where what was in flight is unknown: probe first."""
        self._forget()
        self._resend_s = self._timings.resend_s
        self._probe_due_s = monotonic_s
        self._probe_earlier = bool(outbox.epochs_before(self._store))
        self.replies.start_over()

    def send_all_again(self) -> None:
        """Send again at once: the hub has started anew."""
        self._forget()
        self._probe_due_s = 0.0

    def request_probe(self) -> None:
        """Ask what the platform has, and report ended grants, as soon as nothing is in flight."""
        self._probe_requested = True

    def note_commit(self) -> None:
        """Note that the outbox may hold new events."""
        self._may_have_more = True

    def tick(self, send: Send, monotonic_s: float) -> None:
        """Send what is due. Raises StoreUnavailableError."""
        if self._in_flight and self._due is not None and monotonic_s >= self._due:
            self._forget()
            self._resend_s = min(2 * self._resend_s, self._timings.longest_resend_s)
        while (
            self._may_have_more
            and len(self._in_flight) < self._window
            and self._send_next(send, monotonic_s)
        ):
            pass
        if not self._in_flight and (
            self._probe_requested or self._probe_earlier or monotonic_s >= self._probe_due_s
        ):
            self._probe(send, monotonic_s)

    def receive_ack(self, ack: Ack, now: Instant, monotonic_s: float) -> AckEffect:
        """Apply an acknowledgement: durable before this returns. Raises StoreUnavailableError.

        One to another process under this identity, or to this device before it started, does
        nothing.
        """
        if ack.tag not in ("", self._tag):
            return AckEffect.NOTHING_NEW
        self.refused_now, self.conflicts_now = [], []
        if not self._intake.may_begin_epoch(ack, monotonic_s):
            return AckEffect.NOT_BELIEVED
        self.refused_now = self._intake.set_aside_refused(ack, now)
        self.conflicts_now = self._intake.raise_conflicts(ack, now)
        effect, acknowledged_through = self._acknowledge(ack, now)
        self._waiting_since_s = None
        self._resend_s = self._timings.resend_s
        self._probe_due_s = monotonic_s + self._timings.probe_s
        if ack.epoch == self._epoch:
            while self._in_flight and self._in_flight[0] <= acknowledged_through:
                self._in_flight.popleft()
            while self._sent and self._sent[0][0] <= acknowledged_through:
                self._sent.popleft()
        if self._in_flight:
            self._waiting_since_s = monotonic_s
        self.replies.note_reply(acknowledged_through, monotonic_s, more=bool(self._in_flight))
        self._may_have_more = True
        return effect

    def _acknowledge(self, ack: Ack, now: Instant) -> tuple[AckEffect, int]:
        """Take only what the platform compared as acknowledged. Return the effect and its end.

        A matching sequence number alone proves nothing: the store may be an old copy, or another
        device may use our identity.
        """
        acknowledged_through = outbox.acknowledged_through(self._store, ack.epoch)
        if ack.committed_through < ack.acknowledged_through:
            if ack.committed_through >= acknowledged_through:
                return AckEffect.NOTHING_NEW, acknowledged_through  # it was rewound before
            outbox.rewind(self._store, epoch=ack.epoch, to_seq=ack.committed_through)
            self._forget()
            return AckEffect.REWOUND, ack.committed_through
        effect = AckEffect.NOTHING_NEW
        if (through := self._compared_through(ack, acknowledged_through)) is not None:
            result = outbox.acknowledge(self._store, epoch=ack.epoch, through_seq=through)
            if result is AcknowledgeResult.ACKNOWLEDGED:
                effect, acknowledged_through = AckEffect.ACKNOWLEDGED, through
        epoch, newest = outbox.current_epoch(self._store)
        if ack.epoch == epoch and ack.committed_through > newest:
            # The next numbers are in use: continue under new ones.
            why = f"restored: the platform has {ack.epoch} through {ack.committed_through}"
            end_epoch(self._store, epoch, why=why, now=now, random_bytes=self._random_bytes)
            return AckEffect.AHEAD, acknowledged_through
        return effect, acknowledged_through

    def _compared_through(self, ack: Ack, acknowledged_through: int) -> int | None:
        """Return the number through which every unacknowledged event was compared.

        None where a batch before it is missing: hubs that share a subscription acknowledge batches
        in any order.
        """
        if not ack.first:
            return None
        if ack.epoch != self._epoch:
            return (
                min(ack.last, ack.committed_through)
                if ack.first <= acknowledged_through + 1
                else None
            )
        self._compared[ack.first] = max(ack.last, self._compared.get(ack.first, 0))
        self._committed_through = max(ack.committed_through, self._committed_through)
        through = acknowledged_through
        for first, last in sorted(self._compared.items()):
            if first <= through + 1:
                through = max(through, last)
        through = min(through, self._committed_through)
        self._compared = {first: last for first, last in self._compared.items() if last > through}
        return through if through > acknowledged_through else None

    @property
    def _due(self) -> float | None:
        if self._waiting_since_s is None:
            return None
        return (
            self._waiting_since_s + self._resend_s + sum(size for _, size in self._sent) / SLOW_LINE
        )

    def _forget(self) -> None:
        self._in_flight.clear()
        self._sent.clear()
        self._compared.clear()
        self._committed_through = 0
        self._waiting_since_s = None
        self._may_have_more = True

    def _send_next(self, send: Send, monotonic_s: float) -> bool:
        """Send one batch; True when there may be another."""
        after_seq = self._in_flight[-1] if self._in_flight else 0
        room = self._window - len(self._in_flight)
        rows = outbox.pending(self._store, after_seq=after_seq, limit=room)
        if rows and rows[0].epoch != self._epoch:
            self._forget()
            self._epoch = rows[0].epoch
            rows = outbox.pending(self._store, limit=room)
        if not rows:
            self._may_have_more = False
            return False
        acknowledged_through = outbox.acknowledged_through(self._store, self._epoch)
        begin = after_seq or acknowledged_through
        lost = outbox.lost_numbers(
            self._store, self._epoch, after_seq=begin, before_seq=rows[-1].seq
        )
        events = events_of(rows, after_seq=begin, lost=lost)
        payload = codec.encode_batch(
            self._device,
            self._epoch,
            acknowledged_through,
            self._intake.conflicts_through,
            [encoded for _, encoded in events],
            tag=self._tag,
        )
        if not send(payload):
            return False
        self._in_flight.extend(seq for seq, _ in events)
        self._sent.append((events[-1][0], len(payload)))
        if self._waiting_since_s is None:
            self._waiting_since_s = monotonic_s
        self.replies.note_sent(self._in_flight[-1], monotonic_s)
        self._may_have_more = len(rows) == room or events[-1][0] < rows[-1].seq
        return self._may_have_more

    def _probe(self, send: Send, monotonic_s: float) -> None:
        if self._probe_earlier:
            # The platform may have lost events of those epochs, or another hub acknowledged them.
            self._probe_earlier = not all(
                send(self._without_events(*before)) for before in outbox.epochs_before(self._store)
            )
        epoch, _ = outbox.current_epoch(self._store)
        released = authorisations.released_through(self._store, int(monotonic_s * 1e9))
        acknowledged_through = outbox.acknowledged_through(self._store, epoch)
        if send(
            self._without_events(epoch, acknowledged_through, grants_released_through=released)
        ):
            self._probe_requested = False
            self._probe_due_s = monotonic_s + self._resend_s
            self._resend_s = min(2 * self._resend_s, self._timings.longest_resend_s)
            if self._waiting_since_s is None:
                self._waiting_since_s = monotonic_s
            self.replies.note_sent(0, monotonic_s)

    def _without_events(
        self, epoch: str, acknowledged_through: int, grants_released_through: int = 0
    ) -> bytes:
        return codec.encode_batch(
            self._device,
            epoch,
            acknowledged_through,
            self._intake.conflicts_through,
            [],
            tag=self._tag,
            grants_released_through=grants_released_through,
        )


def events_of(
    rows: list[OutboxRow],
    *,
    after_seq: int,
    lost: Collection[int] = (),
    bounds: PageBounds = codec.BATCH,
) -> list[tuple[int, bytes]]:
    """Return the first of ``rows``, encoded, as far as they fit into a batch; at least one.

    A number that is missing between them is an event that the platform refused before. The hub may
    have lost it since, so the number is sent without content: the numbering stays gapless. A number
    of ``lost`` is one whose event was lost with the device's store. An event that cannot be sent is
    sent the same way, and the hub refuses it by name.
    """
    events: list[tuple[int, bytes]] = []
    size = 0
    for seq, encoded in _numbered(rows, after_seq, lost):
        size += len(encoded)
        if len(events) == bounds.most_items or (events and size > bounds.most_bytes):
            break
        events.append((seq, encoded))
    return events


def _numbered(
    rows: list[OutboxRow], after_seq: int, lost: Collection[int]
) -> Iterator[tuple[int, bytes]]:
    """Yield each number after ``after_seq`` through the last row's, with its event."""
    for row in rows:
        for seq in range(after_seq + 1, row.seq):
            yield seq, _withheld(row, seq, LOST if seq in lost else codec.ALREADY_REFUSED)
        encoded = _encoded(row)
        if isinstance(encoded, MessageRefusal):
            encoded = _withheld(row, row.seq, encoded.fault)
        yield row.seq, encoded
        after_seq = row.seq


def _encoded(row: OutboxRow) -> bytes | MessageRefusal:
    if row.body is None:
        return MessageRefusal(MessageFault.WRONG_SHAPE, "what the store has of it is damaged")
    try:
        event = Event(
            seq=row.seq,
            id=row.id,
            ts=row.at.unix_s,
            ts_trust=row.at.trust.value,
            type=row.type,
            body=row.body,
        )
    except ValueError as error:
        return MessageRefusal(MessageFault.WRONG_SHAPE, str(error))
    return codec.encode_event(event)


def _withheld(row: OutboxRow, seq: int, reason: str) -> bytes:
    event = Event(
        seq=seq,
        id=f"withheld-{seq}",
        ts=0,
        ts_trust="floor_only",
        type=codec.WITHHELD,
        body={"reason": str(reason), "type": row.type if seq == row.seq else ""},
    )
    return event.model_dump_json().encode()
