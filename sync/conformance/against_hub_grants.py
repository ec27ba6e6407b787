"""Play two devices of a site against any hub: does a grant stay held until its holder says that it is over?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.domain.authorisation import AuthorisationResult
from sync.conformance.peer import CheckResult, Peer
from sync.mqtt.endpoint import Arrival
from sync.wire import codec
from sync.wire.messages import Ack, GrantRequest, Response
from sync.wire.topics import Down, Topic, Up

_GRANTED, _HELD = AuthorisationResult.GRANTED, AuthorisationResult.HELD


@dataclass(slots=True)
class Claimant:
    """A device that asks for leave, and says what is over. ``epoch`` is one that was never used."""

    line: Peer
    tenant: str
    device: str
    epoch: str
    ident: Callable[[], str]
    answer_s: float = 10.0
    number: int = 0

    def asks(self, cti: str) -> AuthorisationResult | None:
        """What a new claim on ``cti`` is answered; None: nothing came."""
        self.number += 1
        request = GrantRequest(
            dev=self.device,
            id=self.ident(),
            cti=cti,
            quantity=1,
            epoch=self.epoch,
            number=self.number,
            order_quantity=1,
        )
        self.line.say(self._topic(Up.REQUEST), codec.encode(request))
        response = self.line.hear(
            lambda arrival: self._response(arrival, request.id), self.answer_s
        )
        return None if response is None else response.result

    def says(
        self, grants_released_through: int, *, epoch: str = "", settled_through: int = 0
    ) -> None:
        """A batch without events; returns when it is acknowledged."""
        epoch = epoch or self.epoch
        batch = codec.encode_batch(
            self.device,
            epoch,
            settled_through,
            0,
            [],
            grants_released_through=grants_released_through,
        )
        self.line.say(self._topic(Up.EVENTS), batch)
        self.line.hear(lambda arrival: self._acknowledged(arrival, epoch), self.answer_s)

    def _response(self, arrival: Arrival, ident: str) -> Response | None:
        if arrival.topic != str(Topic(self.tenant, self.device, Down.RESPONSE)):
            return None
        response = codec.decode_addressed(Response, arrival.payload, dev=self.device)
        return response if isinstance(response, Response) and response.id == ident else None

    def _acknowledged(self, arrival: Arrival, epoch: str) -> Ack | None:
        if arrival.topic != str(Topic(self.tenant, self.device, Down.ACK)):
            return None
        ack = codec.decode_addressed(Ack, arrival.payload, dev=self.device)
        return ack if isinstance(ack, Ack) and ack.epoch == epoch else None

    def _topic(self, channel: Up) -> str:
        return str(Topic(self.tenant, self.device, channel))


@dataclass(slots=True)
class GrantCheck:
    """``cti`` is an entitlement of the site, of one unit, which nobody has honoured or holds."""

    first: Claimant
    second: Claimant
    cti: str

    def findings(self) -> Iterator[CheckResult]:
        """Every check in turn. Raises LineError when the broker is gone."""
        for check in (
            self._held,
            self._unnumbered,
            self._older,
            self._another_store,
            self._lost,
            self._freed,
        ):
            yield CheckResult(" ".join((check.__doc__ or "").split()).rstrip("."), check())
        self.second.says(self.second.number)

    def _held(self) -> str:
        """Grants a claim, and holds it against other devices."""
        return self._differs("the first", self.first.asks(self.cti), _GRANTED) or self._still_held()

    def _unnumbered(self) -> str:
        """Frees no grant by a batch that names no claim."""
        self.first.says(0)
        return self._still_held()

    def _older(self) -> str:
        """Frees no grant by a batch that names an older claim."""
        asked_again = self._differs("the first", self.first.asks(self.cti), _GRANTED)
        self.first.says(self.first.number - 1)
        return asked_again or self._still_held()

    def _another_store(self) -> str:
        """Frees no grant by what is said of another epoch."""
        self.first.says(self.first.number, epoch=self.first.ident())
        return self._still_held()

    def _lost(self) -> str:
        """Frees no grant by the word of a device that has settled more than the hub has."""
        self.first.says(self.first.number, settled_through=5000)
        return self._still_held()

    def _freed(self) -> str:
        """Frees a grant when its holder says that it is over."""
        self.first.says(self.first.number)
        return self._differs("the second", self.second.asks(self.cti), _GRANTED)

    def _still_held(self) -> str:
        return self._differs("the second", self.second.asks(self.cti), _HELD)

    @staticmethod
    def _differs(
        who: str, result: AuthorisationResult | None, expected: AuthorisationResult
    ) -> str:
        return (
            ""
            if result is expected
            else f"{who} device is answered {result or 'nothing'}, not {expected}"
        )
