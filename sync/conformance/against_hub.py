"""Play a device against any hub: does it keep to the protocol?"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from edge.domain.authorisation import AuthorisationResult
from edge.domain.order_row import EMPTY_DIGEST, row_digest, xor
from edge.token import cbor, cose
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused
from edge.token.roots import Roots
from edge.token.signed_document import DocumentRefusal, open_document
from edge.token.trust_list import TrustList, open_trust_list
from edge.values.instant import Instant
from sync.conformance.against_hub_reviews import reviews_fault
from sync.conformance.peer import CheckResult, Peer
from sync.mqtt.endpoint import Arrival
from sync.protocol.event_bodies import ExceptionBody, ReviewBody
from sync.wire import codec
from sync.wire.grant_reply import GRANT_REPLY
from sync.wire.messages import Ack, Event, GrantRequest, MessageRefusal, OrdersRequest, Response
from sync.wire.order_feed import Delta, Snapshot, read_page
from sync.wire.review_page import is_review_page
from sync.wire.topics import FLEET, Down, Topic, Up

MOST_PAGES = 100_000
_TAG = "c0f0"


@dataclass(slots=True)
class HubCheck:
    """``line`` is connected as ``device``, which has no other client. Each check is a question with its answer."""

    line: Peer
    tenant: str
    device: str
    site: str
    epoch: str  # one that was never used
    ident: Callable[[], str]
    now: Callable[[], Instant]
    roots: Roots | None = None  # None: signatures are not checked
    answer_s: float = 10.0
    _trust: TrustList | None = None
    _settled: int = 0
    _pages: list[Snapshot] = field(default_factory=list)

    def findings(self) -> Iterator[CheckResult]:
        """Every check in turn. Raises LineError when the broker is gone."""
        for check in (
            self._lists, self._probe, self._batch, self._twice, self._gap, self._bad_item, self._withheld, self._reused,
            self._unknown_keys, self._people, self._junk, self._ahead, self._snapshot, self._resumed,
            self._nothing_new, self._claim,
        ):  # fmt: skip
            title = " ".join((check.__doc__ or "").split()).rstrip(".")
            yield CheckResult(title, check())

    # Lists

    def _lists(self) -> str:
        """Retains a trust list for the fleet."""
        raw = self.line.hear(self._on(Down.TRUST, FLEET), self.answer_s)
        if raw is None:
            return f"nothing came on {Topic(self.tenant, FLEET, Down.TRUST)}"
        if self.roots is None:
            return ""
        trust = open_trust_list(raw, roots=self.roots, now=self.now())
        if isinstance(trust, DocumentRefusal):
            return str(trust)
        self._trust = trust
        return ""

    # Events

    def _probe(self) -> str:
        """Answers a batch without events with where it is."""
        ack = self._told()
        return self._differs(ack, acked_through=0, first=0, last=0, settled_through=0)

    def _batch(self) -> str:
        """Acknowledges a batch once it is durable, and names its numbers."""
        ack = self._told(1, 2, 3)
        return self._differs(ack, acked_through=3, first=1, last=3) or _rejected(ack, [])

    def _twice(self) -> str:
        """Answers a batch that comes twice as it did the first time."""
        ack = self._told(1, 2, 3)
        return self._differs(ack, acked_through=3, first=1, last=3) or _rejected(ack, [])

    def _gap(self) -> str:
        """Acknowledges to the first gap, and beyond it when it is filled."""
        later = self._differs(self._told(6, 7), acked_through=3, first=6, last=7)
        return later or self._differs(self._told(4, 5), acked_through=7, first=4, last=5)

    def _bad_item(self) -> str:
        """Refuses an item that is not an event by its number, and takes those beside it."""
        ack = self._sent([b'{"seq":8,"id":"not-an-event"}', self._event(9)])
        return self._differs(ack, acked_through=9, first=8, last=9) or _rejected(ack, [8])

    def _withheld(self) -> str:
        """Refuses an event that was withheld, for the reason that is given."""
        event = Event(
            seq=10, id=self.ident(), ts=self.now().unix_s, ts_trust="trusted", type=codec.WITHHELD,
            body={"reason": "message_too_large", "type": "redeemed"},
        )  # fmt: skip
        ack = self._sent([_encoded(event)])
        if ack is not None and "message_too_large" not in [item.reason for item in ack.rejected]:
            return "10 is not rejected as message_too_large"
        return self._differs(ack, acked_through=10)

    def _reused(self) -> str:
        """Refuses another event under a number that is taken."""
        ack = self._told(9)
        reasons = [item.reason for item in ack.rejected if item.seq == 9] if ack else []
        return self._differs(ack, acked_through=10) or ("" if reasons else "9 is taken twice")

    def _unknown_keys(self) -> str:
        """Ignores keys that it does not know."""
        payload = codec.encode_batch(
            self.device, self.epoch, self._settled, 0, [self._event(11)], tag=_TAG
        )
        whole = {**json.loads(payload), "later": {"version": 1}}
        self.line.say(self._topic(Up.EVENTS), json.dumps(whole).encode())
        return self._differs(self._acknowledgement(), acked_through=11)

    def _people(self) -> str:
        """Takes what people did at a device: a review, and a case."""
        cti, now = self.ident().replace("-", ""), self.now().unix_s
        review = ReviewBody(
            cti=cti, order="conformance", use=1, state="approved", reason="", redemption_event=cti
        )
        case = ExceptionBody(
            case=1, kind="dispute", state="raised", cause="from a check", operator="nobody"
        )
        told = [
            Event(
                seq=seq,
                id=self.ident(),
                ts=now,
                ts_trust="trusted",
                type=kind,
                body=body.model_dump(mode="json"),
            )
            for seq, kind, body in ((12, "review", review), (13, "exception", case))
        ]
        ack = self._sent([_encoded(event) for event in told])
        refused = [item.seq for item in ack.rejected if item.seq > 11] if ack else []
        return self._differs(ack, acked_through=13) or (
            f"{refused} are rejected" if refused else ""
        )

    def _junk(self) -> str:
        """Lives on after messages that are none, and answers none of them."""
        junk = [
            b"",
            b"\xff",
            b"[]",
            b'{"v":2}',
            b'{"v":1,"dev":"somebody-else","epoch":"e","events":[]}',
        ]
        for payload in junk:
            self.line.say(self._topic(Up.EVENTS), payload)
            self.line.say(self._topic(Up.REQUEST), payload)
        if self.line.hear(self._ack, 1.0) is not None:
            return "it answered one of them"
        return self._differs(self._told(), acked_through=13)

    def _ahead(self) -> str:
        """Says where it is to a device that was told more, so that the device sends again."""
        self.line.say(
            self._topic(Up.EVENTS),
            codec.encode_batch(self.device, self.epoch, 5000, 0, [], tag=_TAG),
        )
        return self._differs(self._acknowledgement(), acked_through=13, settled_through=5000)

    # Orders

    def _snapshot(self) -> str:
        """Sends the order feed of the site from the start, page by page."""
        page = self._page(have=0)
        while isinstance(page, Snapshot):
            self._pages.append(page)
            if page.page != len(self._pages) - 1 or page.revision != self._pages[0].revision:
                return f"page {page.page} of {page.revision} came where {len(self._pages) - 1} was asked"
            if page.last or len(self._pages) > MOST_PAGES:
                break
            page = self._page(have=0, snapshot=page.revision, number=page.page + 1)
        ctis = [row[0] for each in self._pages for row in each.rows]
        if len(set(ctis)) != len(ctis):
            return "an entitlement is in it twice"
        return (
            page if isinstance(page, str) else "" if isinstance(page, Snapshot) else "a delta came"
        )

    def _resumed(self) -> str:
        """Goes on with a snapshot from the page that is asked for, and says the same on it again."""
        if not self._pages:
            return "there was no snapshot"
        last = self._pages[-1]
        page = self._page(have=0, snapshot=last.revision, number=last.page)
        if not isinstance(page, Snapshot):
            return page if isinstance(page, str) else "a delta came"
        return "" if (page.page, page.rows) == (last.page, last.rows) else "another page came"

    def _nothing_new(self) -> str:
        """Sends what is new since a revision, with the digest of the whole feed."""
        if not self._pages:
            return "there was no snapshot"
        page = self._page(have=self._pages[0].revision)
        if not isinstance(page, Delta):
            return page if isinstance(page, str) else "a snapshot came"
        if page.from_revision != self._pages[0].revision:
            return f"it starts at {page.from_revision}"
        digest = EMPTY_DIGEST
        for row in (row for each in self._pages for row in each.rows):
            digest = xor(digest, row_digest(row))
        still = not page.rows and not page.removed and page.head == page.from_revision
        return "" if not still or page.digest == digest else "the digest is not that of the rows"

    def _claim(self) -> str:
        """Answers a claim on what it does not know, and signs the answer."""
        request = GrantRequest(
            dev=self.device,
            id=self.ident(),
            cti=self.ident().replace("-", ""),
            quantity=1,
            epoch=self.epoch,
            number=1,
        )
        self.line.say(self._topic(Up.REQUEST), codec.encode(request))
        response = self.line.hear(lambda arrival: self._response(arrival, request), self.answer_s)
        if response is None:
            return "no answer"
        if response.result not in (AuthorisationResult.UNKNOWN, AuthorisationResult.NOT_READY):
            return f"the answer is {response.result}"
        if not response.signed:
            return "the answer is not signed"
        payload = self._payload(b64decode(response.signed), Purpose.GRANT)
        if isinstance(payload, str):
            return payload
        answer = GRANT_REPLY.read(payload)
        if isinstance(answer, DocumentRefusal):
            return answer.detail
        same = (answer.device, answer.id, answer.cti.hex()) == (
            request.dev,
            request.id,
            request.cti,
        )
        return "" if same else "the signed answer is to something else"

    # Saying and hearing

    def _told(self, *numbers: int) -> Ack | None:
        return self._sent([self._event(number) for number in numbers])

    def _sent(self, events: list[bytes]) -> Ack | None:
        self.line.say(
            self._topic(Up.EVENTS),
            codec.encode_batch(self.device, self.epoch, self._settled, 0, events, tag=_TAG),
        )
        return self._acknowledgement()

    def _event(self, seq: int) -> bytes:
        """An event that has no effect, the same each time for a number below 9."""
        ident = f"conformance-{seq}" if seq < 9 else self.ident()
        now = self.now()
        event = Event(
            seq=seq,
            id=ident,
            ts=now.unix_s,
            ts_trust="trusted",
            type="conformance",
            body={"note": "from a check"},
        )
        return _encoded(event)

    def _acknowledgement(self) -> Ack | None:
        return self.line.hear(self._ack, self.answer_s)

    def _ack(self, arrival: Arrival) -> Ack | None:
        if arrival.topic != str(Topic(self.tenant, self.device, Down.ACK)):
            return None
        ack = codec.decode_addressed(Ack, arrival.payload, dev=self.device)
        return ack if isinstance(ack, Ack) and ack.epoch == self.epoch else None

    def _response(self, arrival: Arrival, request: GrantRequest) -> Response | None:
        if arrival.topic != str(Topic(self.tenant, self.device, Down.RESPONSE)):
            return None
        response = codec.decode_addressed(Response, arrival.payload, dev=self.device)
        return response if isinstance(response, Response) and response.id == request.id else None

    def _page(self, *, have: int, snapshot: int = 0, number: int = 0) -> Snapshot | Delta | str:
        request = OrdersRequest(
            dev=self.device, id=self.ident(), have=have, snapshot=snapshot, page=number
        )
        self.line.say(self._topic(Up.REQUEST), codec.encode(request))
        payload: cbor.Item = {}
        while (
            not isinstance(payload, dict) or not payload or is_review_page(payload)
        ):  # decisions come in between
            raw = self.line.hear(self._on(Down.ORDERS, self.device), self.answer_s)
            if raw is None:
                return f"nothing came on {Topic(self.tenant, self.device, Down.ORDERS)}"
            payload = self._payload(raw, Purpose.ORDER_FEED)
            if isinstance(payload, str):
                return payload
            if fault := reviews_fault(payload, site=self.site, keys=self._trust, now=self.now()):
                return fault
        page = read_page(payload, site=self.site)
        return page.detail if isinstance(page, MessageRefusal) else page

    def _payload(self, raw: bytes, purpose: Purpose) -> cbor.Item:
        """What is under a signature, or in words why not: a text is no payload here."""
        if self._trust is not None:
            document = open_document(raw, purpose, self._trust, now=self.now())
            return str(document) if isinstance(document, DocumentRefusal) else document.payload
        try:
            return cbor.decode(cose.parse(raw, cose.STRICT).payload or b"", cbor.DOCUMENT_LIMITS)
        except InputRefused as refused:
            return f"not a signed document: {refused}"

    def _on(self, channel: Down, node: str) -> Callable[[Arrival], bytes | None]:
        topic = str(Topic(self.tenant, node, channel))
        return lambda arrival: arrival.payload if arrival.topic == topic else None

    def _topic(self, channel: Up) -> str:
        return str(Topic(self.tenant, self.device, channel))

    def _differs(self, ack: Ack | None, **expected: int) -> str:
        if ack is None:
            return f"no acknowledgement within {self.answer_s:.0f} s"
        if ack.tag != _TAG:
            return f"tag is {ack.tag!r}, sent was {_TAG!r}"
        wrong = [f"{name} is {getattr(ack, name)}, not {value}" for name, value in expected.items()
                 if getattr(ack, name) != value]  # fmt: skip
        return "; ".join(wrong)


def _rejected(ack: Ack | None, numbers: list[int]) -> str:
    said = [item.seq for item in ack.rejected] if ack else []
    return "" if said == numbers else f"rejected is {said}, not {numbers}"


def _encoded(event: Event) -> bytes:
    encoded = codec.encode_event(event)
    assert isinstance(encoded, bytes)
    return encoded
