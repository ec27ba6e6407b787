"""Play a hub against any device, to check that the device keeps to the protocol.

The device must have something to report.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from sync.conformance.peer import CheckFailed, CheckResult, Peer, expect, run_checks
from sync.mqtt.endpoint import Arrival
from sync.protocol.event_bodies import BODIES
from sync.wire import codec
from sync.wire.messages import (
    Ack,
    Batch,
    Command,
    GrantRequest,
    MessageRefusal,
    OrdersRequest,
    RestoreReply,
    RestoreRequest,
    Status,
)
from sync.wire.topics import Down, Topic, Up

_ANOTHER_DEVICE = "another-device"
_UNSIGNED = b"\xd2\x84\x43\xa1\x01\x27\xa0\x41\xa0\x40"  # a COSE_Sign1 without a signature


@dataclass(slots=True)
class DeviceCheck:
    """``peer`` is connected as the hub, and no other hub is connected."""

    peer: Peer
    tenant: str
    device: str
    first_s: float = 60.0  # within which it must have something to report
    reply_s: float = 20.0
    _epoch: str = ""
    _batch: Batch | None = None

    def results(self) -> Iterator[CheckResult]:
        """Yield the result of every check. Raises PeerError when the broker is gone."""
        yield from run_checks(
            (
                self._online,
                self._resend,
                self._events,
                self._bodies,
                self._order,
                self._unacknowledged,
                self._false_acknowledgements,
                self._acknowledged,
                self._rewound,
                self._orders_request,
                self._unsigned_orders,
                self._grant_requests,
                self._restore_requests,
            )
        )

    def _online(self) -> None:
        """Report that it is online, retained."""
        status = self.peer.wait_for(self._status, self.first_s)
        if status is None:
            raise CheckFailed(f"nothing came on {self._topic(Up.STATUS)} that is a Status")
        self._epoch = status.epoch
        self._publish(Down.ORDERS, _UNSIGNED)
        unsigned = RestoreReply(
            dev=self.device, id="unsigned", signed=b64encode(_UNSIGNED).decode()
        )
        self._publish(Down.RESPONSE, codec.encode(unsigned))
        expect(status.state == "online", "it reports that it is offline")

    def _resend(self) -> None:
        """Answer `resend` with a batch, which may be empty."""
        batch = self._after_resend(lambda batch: batch)
        expect(batch, f"nothing came on {self._topic(Up.EVENTS)} that is an EventBatch")

    def _events(self) -> None:
        """Report what happened (scan something, or redeem a test voucher, now)."""
        self._batch = self._after_resend(
            lambda batch: batch if batch.events else None, self.first_s
        )
        self._reported()

    def _bodies(self) -> None:
        """Fill the bodies of events as their types say."""
        for event in self._batch.events if self._batch else ():
            if event.type not in BODIES:
                continue  # a type of its own: the hub keeps it
            try:
                BODIES[event.type].model_validate(event.body)
            except ValidationError as error:
                fault = codec.first_error(error)
                raise CheckFailed(f"event {event.seq}, {event.type}: {fault}") from None

    def _order(self) -> None:
        """Send events in the order of their numbers, without a gap, after what is acknowledged."""
        batch = self._reported()
        numbers = [event.seq for event in batch.events]
        first = batch.acknowledged_through + 1
        expect(
            numbers == list(range(first, first + len(numbers))),
            f"acknowledged through {batch.acknowledged_through}, and then {numbers[:5]}",
        )

    def _unacknowledged(self) -> None:
        """Send again, unchanged, what is not acknowledged."""
        self._expect_same(self.peer.wait_for(self._batch_with_events, self.reply_s))

    def _false_acknowledgements(self) -> None:
        """Close nothing by what is no acknowledgement, or is one of another device or epoch."""
        batch = self._reported()
        last = batch.events[-1].seq
        of_another_device = Ack(
            dev=_ANOTHER_DEVICE,
            epoch=self._epoch,
            committed_through=last,
            first=1,
            last=last,
            tag=batch.tag,
        )
        without_numbers = Ack(
            dev=self.device, epoch=self._epoch, committed_through=last, tag=batch.tag
        )
        for ack in (of_another_device, self._ack(epoch="another-epoch"), without_numbers):
            self._publish(Down.ACK, codec.encode(ack))
        for junk in (b"", b"\xff", b"{}"):
            self._publish(Down.ACK, junk)
        self._expect_same(self._after_resend(lambda batch: batch if batch.events else None))

    def _acknowledged(self) -> None:
        """Continue after what is acknowledged."""
        last = self._reported().events[-1].seq
        self._publish(Down.ACK, codec.encode(self._ack()))
        batch = self._after_resend(
            lambda batch: batch if batch.acknowledged_through >= last else None
        )
        expect(batch, f"no batch came with acknowledged_through {last}")

    def _rewound(self) -> None:
        """Send again what the platform has lost."""
        batch = self._reported()
        first, last = batch.events[0].seq, batch.events[-1].seq
        lost = Ack(
            dev=self.device,
            epoch=self._epoch,
            committed_through=first - 1,
            acknowledged_through=last,
            tag=batch.tag,
        )
        self._publish(Down.ACK, codec.encode(lost))
        again = self.peer.wait_for(self._batch_with_events, self.reply_s)
        self._publish(Down.ACK, codec.encode(self._ack()))
        self._expect_same(again)

    def _orders_request(self) -> None:
        """Request its orders."""
        if not self._orders_requests:
            request = self.peer.wait_for(self._read_orders_request, self.reply_s)
            expect(request, "it does not")

    def _unsigned_orders(self) -> None:
        """Request as before after orders without a valid signature."""
        while len(self._orders_requests) < 2:
            request = self.peer.wait_for(self._read_orders_request, 3 * self.reply_s)
            expect(request, "it does not request again")
        named = [request for request in self._orders_requests if request.have]
        expect(all(request.incarnation for request in named), "a revision without incarnation")
        first = self._orders_requests[0].have
        changed = {request.have for request in self._orders_requests} - {first}
        expect(not changed, f"it now reports the revision {max(changed, default=first)}")

    def _grant_requests(self) -> None:
        """Send valid requests, and release grants only in a batch after which nothing waits."""
        newest: dict[str, int] = {}  # by epoch, the highest number of an event
        for arrival in self.peer.read:
            request, batch = self._read_request(arrival), self._read_batch(arrival)
            if isinstance(request, MessageRefusal):
                raise CheckFailed(f"a request cannot be read: {request.detail}")
            if batch is None:
                continue
            newest[batch.epoch] = max(
                [event.seq for event in batch.events], default=newest.get(batch.epoch, 0)
            )
            released, last = batch.grants_released_through, newest[batch.epoch]
            expect(
                not released or batch.acknowledged_through >= last,
                f"grants_released_through {released} with {last} not acknowledged",
            )

    def _restore_requests(self) -> None:
        """Request the first page of what it has lost, if anything, until a signed one comes."""
        requests = [self._read_request(arrival) for arrival in self.peer.read]
        later = {item.after for item in requests if isinstance(item, RestoreRequest)} - {""}
        expect(not later, f"it requests what follows {max(later, default='')}")

    # Sending and receiving

    def _reported(self) -> Batch:
        if self._batch is None:
            raise CheckFailed("it had nothing to report")
        return self._batch

    def _after_resend(
        self, wanted: Callable[[Batch], Batch | None], timeout_s: float | None = None
    ) -> Batch | None:
        """Send `resend`, and return the first batch after it that is wanted."""
        self.peer.drop_waiting()
        self._publish(Down.COMMAND, codec.encode(Command(dev=self.device)))

        def wanted_batch(arrival: Arrival) -> Batch | None:
            batch = self._read_batch(arrival)
            return wanted(batch) if batch else None

        return self.peer.wait_for(wanted_batch, timeout_s or self.reply_s)

    def _expect_same(self, again: Batch | None) -> None:
        """Fail unless ``again`` begins with the events that were reported."""
        before = self._reported()
        if again is None:
            raise CheckFailed("nothing came")
        events = [(event.seq, event.id, event.body) for event in before.events]
        repeated = [(event.seq, event.id, event.body) for event in again.events]
        numbers = [event.seq for event in again.events]
        expect(repeated[: len(events)] == events, f"{numbers[:5]} came")

    def _ack(self, *, epoch: str = "") -> Ack:
        batch = self._reported()
        last = batch.events[-1].seq
        return Ack(
            dev=self.device,
            epoch=epoch or batch.epoch,
            committed_through=last,
            first=batch.events[0].seq,
            last=last,
            acknowledged_through=batch.acknowledged_through,
            tag=batch.tag,
        )

    def _batch_with_events(self, arrival: Arrival) -> Batch | None:
        batch = self._read_batch(arrival)
        return batch if batch and batch.events else None

    def _read_batch(self, arrival: Arrival) -> Batch | None:
        if arrival.topic != self._topic(Up.EVENTS):
            return None
        batch = codec.decode_batch(arrival.payload, dev=self.device)
        return batch if isinstance(batch, Batch) and not batch.bad else None

    def _status(self, arrival: Arrival) -> Status | None:
        if arrival.topic != self._topic(Up.STATUS):
            return None
        status = codec.decode_addressed(Status, arrival.payload, dev=self.device)
        return None if isinstance(status, MessageRefusal) else status

    def _read_orders_request(self, arrival: Arrival) -> OrdersRequest | None:
        request = self._read_request(arrival)
        return request if isinstance(request, OrdersRequest) else None

    def _read_request(
        self, arrival: Arrival
    ) -> OrdersRequest | GrantRequest | RestoreRequest | MessageRefusal | None:
        if arrival.topic != self._topic(Up.REQUEST):
            return None
        return codec.decode_request(arrival.payload, dev=self.device)

    @property
    def _orders_requests(self) -> list[OrdersRequest]:
        requests = (self._read_orders_request(arrival) for arrival in self.peer.read)
        return [request for request in requests if request]

    def _publish(self, channel: Down, payload: bytes) -> None:
        self.peer.publish(str(Topic(self.tenant, self.device, channel)), payload)

    def _topic(self, channel: Up) -> str:
        return str(Topic(self.tenant, self.device, channel))
