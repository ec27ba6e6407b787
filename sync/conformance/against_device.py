"""Play a hub against any device: does it keep to the protocol? The device must have something to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from sync.conformance.peer import CheckResult, Peer
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
    Status,
)
from sync.wire.topics import Down, Topic, Up

_NOBODY = "somebody-else"
_UNSIGNED = b"\xd2\x84\x43\xa1\x01\x27\xa0\x41\xa0\x40"  # a COSE_Sign1 without a signature


@dataclass(slots=True)
class DeviceCheck:
    """``line`` is connected as the hub, and no other hub is there. Each check is a question with its answer."""

    line: Peer
    tenant: str
    device: str
    first_s: float = 60.0  # within which it must have something to tell
    answer_s: float = 20.0
    _epoch: str = ""
    _batch: Batch | None = None

    def findings(self) -> Iterator[CheckResult]:
        """Every check in turn. Raises LineError when the broker is gone."""
        for check in (
            self._present, self._resend, self._events, self._bodies, self._order, self._unacknowledged, self._junk,
            self._settled, self._rewound, self._asks, self._unsigned, self._claims,
        ):  # fmt: skip
            title = " ".join((check.__doc__ or "").split()).rstrip(".")
            yield CheckResult(title, check())

    def _present(self) -> str:
        """Says that it is there, retained."""
        status = self.line.hear(self._status, self.first_s)
        if status is None:
            return f"nothing came on {self._topic(Up.STATUS)} that is a Status"
        self._epoch = status.epoch
        self._say(Down.ORDERS, _UNSIGNED)
        return "" if status.state == "online" else "it says that it is offline"

    def _resend(self) -> str:
        """Answers `resend` with a batch, be it an empty one."""
        batch = self._asked_again(lambda batch: batch)
        return "" if batch else f"nothing came on {self._topic(Up.EVENTS)} that is an EventBatch"

    def _events(self) -> str:
        """Tells what happened (scan something, or redeem a test voucher, now)."""
        self._batch = self._asked_again(lambda batch: batch if batch.events else None, self.first_s)
        return "" if self._batch else "it had nothing to tell"

    def _bodies(self) -> str:
        """Says in its events what the bodies of their types hold."""
        for event in self._batch.events if self._batch else ():
            try:
                BODIES[event.type].model_validate(event.body)
            except KeyError:
                continue  # a type of its own: the hub keeps it
            except ValidationError as error:
                wrong = ", ".join(
                    ".".join(map(str, item["loc"])) for item in error.errors(include_input=False)
                )
                return f"event {event.seq}, {event.type}: {wrong}"
        return ""

    def _order(self) -> str:
        """Sends events in the order of their numbers, without a gap, after what is settled."""
        if self._batch is None:
            return "it had nothing to tell"
        numbers = [event.seq for event in self._batch.events]
        expected = list(
            range(self._batch.settled_through + 1, self._batch.settled_through + 1 + len(numbers))
        )
        return (
            ""
            if numbers == expected
            else f"settled through {self._batch.settled_through}, and then {numbers[:5]}"
        )

    def _unacknowledged(self) -> str:
        """Sends again, and the same, what is not acknowledged."""
        again = self.line.hear(self._events_in, self.answer_s)
        return self._same(again)

    def _junk(self) -> str:
        """Is settled neither by what is no acknowledgement nor by one of others."""
        if self._batch is None:
            return "it had nothing to tell"
        last = self._batch.events[-1].seq
        others = Ack(
            dev=_NOBODY,
            epoch=self._epoch,
            acked_through=last,
            first=1,
            last=last,
            tag=self._batch.tag,
        )
        elsewhere = self._ack(last, epoch="another-epoch")
        unread = Ack(dev=self.device, epoch=self._epoch, acked_through=last, tag=self._batch.tag)
        for payload in (
            b"",
            b"\xff",
            b"{}",
            codec.encode(others),
            codec.encode(elsewhere),
            codec.encode(unread),
        ):
            self._say(Down.ACK, payload)
        return self._same(self._asked_again(lambda batch: batch if batch.events else None))

    def _settled(self) -> str:
        """Goes on behind what is acknowledged."""
        if self._batch is None:
            return "it had nothing to tell"
        last = self._batch.events[-1].seq
        self._say(Down.ACK, codec.encode(self._ack(last)))
        batch = self._asked_again(lambda batch: batch if batch.settled_through >= last else None)
        return "" if batch else f"no batch came that says settled_through {last}"

    def _rewound(self) -> str:
        """Sends again from where the platform is, when that has lost events."""
        if self._batch is None:
            return "it had nothing to tell"
        first, last = self._batch.events[0].seq, self._batch.events[-1].seq
        lost = Ack(
            dev=self.device,
            epoch=self._epoch,
            acked_through=first - 1,
            settled_through=last,
            tag=self._batch.tag,
        )
        self._say(Down.ACK, codec.encode(lost))
        again = self.line.hear(self._events_in, self.answer_s)
        fault = self._same(again)
        self._say(Down.ACK, codec.encode(self._ack(last)))
        return fault

    def _asks(self) -> str:
        """Asks for its orders."""
        if self._asked:
            return ""
        request = self.line.hear(self._orders_request, self.answer_s)
        return "it did not" if request is None else ""

    def _unsigned(self) -> str:
        """Asks on as before after orders that nobody signed."""
        while len(self._asked) < 2:
            request = self.line.hear(self._orders_request, 3 * self.answer_s)
            if request is None:
                return "it does not ask on"
        changed = {request.have for request in self._asked} - {self._asked[0].have}
        return f"it now says that it has {max(changed)}" if changed else ""

    def _claims(self) -> str:
        """Sends requests that can be read, and names in a batch the claims that are over only when it has nothing to tell."""
        told: dict[str, int] = {}  # by epoch, the highest number of an event
        for arrival in self.line.heard:
            request, batch = self._request(arrival), self._batch_in(arrival)
            if isinstance(request, MessageRefusal):
                return f"a request cannot be read: {request.detail}"
            if batch is None:
                continue
            told[batch.epoch] = max(
                [event.seq for event in batch.events], default=told.get(batch.epoch, 0)
            )
            if batch.grants_released_through and batch.settled_through < told[batch.epoch]:
                return f"grants_released_through {batch.grants_released_through} with {told[batch.epoch]} not settled"
        return ""

    # Saying and hearing

    def _asked_again(
        self, wanted: Callable[[Batch], Batch | None], timeout_s: float | None = None
    ) -> Batch | None:
        self.line.quiet()
        self._say(Down.COMMAND, codec.encode(Command(dev=self.device)))

        def heard(arrival: Arrival) -> Batch | None:
            batch = self._batch_in(arrival)
            return wanted(batch) if batch else None

        return self.line.hear(heard, timeout_s or self.answer_s)

    def _same(self, again: Batch | None) -> str:
        if self._batch is None:
            return "it had nothing to tell"
        if again is None:
            return "nothing came"
        mine = [(event.seq, event.id, event.body) for event in self._batch.events]
        theirs = [(event.seq, event.id, event.body) for event in again.events]
        return (
            ""
            if theirs[: len(mine)] == mine
            else f"{[event.seq for event in again.events][:5]} came"
        )

    def _ack(self, last: int, *, epoch: str = "") -> Ack:
        assert self._batch is not None
        return Ack(
            dev=self.device, epoch=epoch or self._batch.epoch, acked_through=last, first=self._batch.events[0].seq,
            last=last, settled_through=self._batch.settled_through, tag=self._batch.tag,
        )  # fmt: skip

    def _events_in(self, arrival: Arrival) -> Batch | None:
        batch = self._batch_in(arrival)
        return batch if batch and batch.events else None

    def _batch_in(self, arrival: Arrival) -> Batch | None:
        if arrival.topic != self._topic(Up.EVENTS):
            return None
        batch = codec.decode_batch(arrival.payload, dev=self.device)
        return batch if isinstance(batch, Batch) and not batch.bad else None

    def _status(self, arrival: Arrival) -> Status | None:
        if arrival.topic != self._topic(Up.STATUS):
            return None
        status = codec.decode_addressed(Status, arrival.payload, dev=self.device)
        return None if isinstance(status, MessageRefusal) else status

    def _orders_request(self, arrival: Arrival) -> OrdersRequest | None:
        request = self._request(arrival)
        return request if isinstance(request, OrdersRequest) else None

    def _request(self, arrival: Arrival) -> OrdersRequest | GrantRequest | MessageRefusal | None:
        if arrival.topic != self._topic(Up.REQUEST):
            return None
        return codec.decode_request(arrival.payload, dev=self.device)

    @property
    def _asked(self) -> list[OrdersRequest]:
        return [
            request for arrival in self.line.heard if (request := self._orders_request(arrival))
        ]

    def _say(self, channel: Down, payload: bytes) -> None:
        self.line.say(str(Topic(self.tenant, self.device, channel)), payload)

    def _topic(self, channel: Up) -> str:
        return str(Topic(self.tenant, self.device, channel))
