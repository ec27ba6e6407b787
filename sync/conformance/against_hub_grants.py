"""Play two devices of a site against any hub, to check that a grant stays held until it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.domain.authorisation import AuthorisationResult
from sync.conformance.peer import CheckResult, Peer, expect, run_checks
from sync.mqtt.endpoint import Arrival
from sync.wire import codec
from sync.wire.messages import Ack, GrantRequest, Response
from sync.wire.topics import Down, Topic, Up

_GRANTED, _HELD = AuthorisationResult.GRANTED, AuthorisationResult.HELD


@dataclass(slots=True)
class Requester:
    """A device that requests grants and releases them. ``epoch`` is one that was never used."""

    peer: Peer
    tenant: str
    device: str
    epoch: str
    new_id: Callable[[], str]
    reply_s: float = 10.0
    number: int = 0  # of its newest request

    def request(self, cti: str) -> AuthorisationResult | None:
        """Request a grant for ``cti`` and return the result; None: no reply came."""
        self.number += 1
        request = GrantRequest(
            dev=self.device,
            id=self.new_id(),
            cti=cti,
            quantity=1,
            epoch=self.epoch,
            number=self.number,
            order_quantity=1,
        )
        self.peer.publish(self._topic(Up.REQUEST), codec.encode(request))
        response = self.peer.wait_for(
            lambda arrival: self._response(arrival, request.id), self.reply_s
        )
        return None if response is None else response.result

    def release(self, through: int, *, epoch: str = "", acknowledged_through: int = 0) -> None:
        """Send a batch without events that releases grants; wait until it is acknowledged."""
        epoch = epoch or self.epoch
        batch = codec.encode_batch(
            self.device, epoch, acknowledged_through, 0, [], grants_released_through=through
        )
        self.peer.publish(self._topic(Up.EVENTS), batch)
        self.peer.wait_for(lambda arrival: self._acknowledgement(arrival, epoch), self.reply_s)

    def _response(self, arrival: Arrival, request_id: str) -> Response | None:
        if arrival.topic != str(Topic(self.tenant, self.device, Down.RESPONSE)):
            return None
        response = codec.decode_addressed(Response, arrival.payload, dev=self.device)
        return response if isinstance(response, Response) and response.id == request_id else None

    def _acknowledgement(self, arrival: Arrival, epoch: str) -> Ack | None:
        if arrival.topic != str(Topic(self.tenant, self.device, Down.ACK)):
            return None
        ack = codec.decode_addressed(Ack, arrival.payload, dev=self.device)
        return ack if isinstance(ack, Ack) and ack.epoch == epoch else None

    def _topic(self, channel: Up) -> str:
        return str(Topic(self.tenant, self.device, channel))


@dataclass(slots=True)
class GrantCheck:
    """``cti`` is an entitlement of the site, of one unit, neither redeemed nor granted."""

    first: Requester
    second: Requester
    cti: str

    def results(self) -> Iterator[CheckResult]:
        """Yield the result of every check. Raises PeerError when the broker is gone."""
        yield from run_checks(
            (
                self._held,
                self._unnumbered,
                self._older,
                self._another_epoch,
                self._lost,
                self._released,
            )
        )
        self.second.release(self.second.number)

    def _held(self) -> None:
        """Grant a request, and hold the grant against other devices."""
        self._expect_result("the first", self.first, _GRANTED)
        self._expect_still_held()

    def _unnumbered(self) -> None:
        """Release no grant by a batch that names no request."""
        self.first.release(0)
        self._expect_still_held()

    def _older(self) -> None:
        """Release no grant by a batch that names an older request."""
        self._expect_result("the first", self.first, _GRANTED)
        self.first.release(self.first.number - 1)
        self._expect_still_held()

    def _another_epoch(self) -> None:
        """Release no grant by a batch of another epoch."""
        self.first.release(self.first.number, epoch=self.first.new_id())
        self._expect_still_held()

    def _lost(self) -> None:
        """Release no grant by a batch of a device that holds more than the hub has."""
        self.first.release(self.first.number, acknowledged_through=5000)
        self._expect_still_held()

    def _released(self) -> None:
        """Release a grant when its holder reports that it is over."""
        self.first.release(self.first.number)
        self._expect_result("the second", self.second, _GRANTED)

    def _expect_still_held(self) -> None:
        self._expect_result("the second", self.second, _HELD)

    def _expect_result(self, name: str, device: Requester, expected: AuthorisationResult) -> None:
        result = device.request(self.cti)
        expect(
            result is expected,
            f"the reply to {name} device is {result or 'missing'}, not {expected}",
        )
