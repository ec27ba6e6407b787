"""Play a device against any hub, to check that the hub keeps to the protocol."""

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
from edge.values.node_name import FLEET
from sync.conformance.against_hub_restore import RestoreCheck
from sync.conformance.against_hub_reviews import check_reviews
from sync.conformance.peer import CheckFailed, CheckResult, Peer, expect, run_checks
from sync.mqtt.endpoint import Arrival
from sync.protocol.event_bodies import ExceptionBody, RedeemedBody, ReviewBody
from sync.wire import codec
from sync.wire.grant_reply import GRANT_REPLY
from sync.wire.messages import (
    MAX_SEQ,
    Ack,
    Event,
    GrantRequest,
    MessageRefusal,
    OrdersRequest,
    Response,
    WireModel,
)
from sync.wire.order_feed import Delta, Snapshot, read_page
from sync.wire.review_page import is_review_page
from sync.wire.topics import Down, Topic, Up

MOST_PAGES = 100_000
SILENCE_S = 2.0  # within which a hub sends no reply
_TAG = "c0f0"
_JUNK = (
    b"",
    b"\xff",
    b"[]",
    b'{"v":2}',
    b'{"v":1,"dev":"another-device","epoch":"e","events":[]}',
)


@dataclass(slots=True)
class HubCheck:
    """``peer`` is connected as ``device``, which has no other client."""

    peer: Peer
    tenant: str
    device: str
    site: str
    epoch: str  # one that was never used
    new_id: Callable[[], str]
    now: Callable[[], Instant]
    roots: Roots | None = None  # None: signatures are not verified
    reply_s: float = 10.0
    _trust: TrustList | None = None
    _pages: list[Snapshot] = field(default_factory=list)

    def results(self) -> Iterator[CheckResult]:
        """Yield the result of every check. Raises PeerError when the broker is gone."""
        yield from run_checks(
            (
                self._trust_list,
                self._empty_batch,
                self._batch,
                self._repeated_batch,
                self._gap,
                self._bad_item,
                self._withheld,
                self._reused_number,
                self._unknown_keys,
                self._operator_events,
                self._junk,
                self._ahead,
                self._restore,
                self._snapshot,
                self._resumed_snapshot,
                self._nothing_new,
                self._unknown_code,
            )
        )

    def last_results(self) -> Iterator[CheckResult]:
        """Yield the result of the last check: a hub with few devices is held after it."""
        yield from run_checks((self._orders_ahead,))

    # Lists

    def _trust_list(self) -> None:
        """Retain a trust list for the fleet."""
        raw = self._wait_on(Down.TRUST, FLEET)
        if self.roots is None:
            return
        trust = open_trust_list(raw, roots=self.roots, now=self.now())
        if isinstance(trust, DocumentRefusal):
            raise CheckFailed(str(trust))
        self._trust = trust

    # Events

    def _empty_batch(self) -> None:
        """Acknowledge a batch without events with what the hub has."""
        self._send()
        self._expect_ack(committed_through=0, first=0, last=0, acknowledged_through=0)

    def _batch(self) -> None:
        """Acknowledge a batch once it is durable, and name its numbers."""
        self._send(1, 2, 3)
        ack = self._expect_ack(committed_through=3, first=1, last=3)
        _expect_rejected(ack, [])

    def _repeated_batch(self) -> None:
        """Acknowledge a batch that comes twice as it did the first time."""
        self._send(1, 2, 3)
        ack = self._expect_ack(committed_through=3, first=1, last=3)
        _expect_rejected(ack, [])

    def _gap(self) -> None:
        """Acknowledge up to the first gap, and beyond it when it is filled."""
        self._send(6, 7)
        self._expect_ack(committed_through=3, first=6, last=7)
        self._send(4, 5)
        self._expect_ack(committed_through=7, first=4, last=5)

    def _bad_item(self) -> None:
        """Refuse an item that is not an event by its number, and accept those beside it."""
        self._send_encoded([b'{"seq":8,"id":"not-an-event"}', self._effectless_event(9)])
        ack = self._expect_ack(committed_through=9, first=8, last=9)
        _expect_rejected(ack, [8])

    def _withheld(self) -> None:
        """Refuse an event that was withheld, for the reason that it gives."""
        body = {"reason": "message_too_large", "type": "redeemed"}
        self._send_encoded([self._event(10, codec.WITHHELD, body)])
        ack = self._expect_ack(committed_through=10)
        expect(
            "message_too_large" in [item.reason for item in ack.rejected],
            "10 is not rejected as message_too_large",
        )

    def _reused_number(self) -> None:
        """Refuse another event under a number that is taken."""
        self._send(9)
        ack = self._expect_ack(committed_through=10)
        expect(9 in [item.seq for item in ack.rejected], "9 is accepted twice")

    def _unknown_keys(self) -> None:
        """Ignore keys that it does not know."""
        payload = codec.encode_batch(
            self.device, self.epoch, 0, 0, [self._effectless_event(11)], tag=_TAG
        )
        extended = {**json.loads(payload), "later": {"version": 1}}
        self.peer.publish(self._topic(Up.EVENTS), json.dumps(extended).encode())
        self._expect_ack(committed_through=11)

    def _operator_events(self) -> None:
        """Accept what operators did at a device: a review, and a case."""
        cti = self.new_id().replace("-", "")
        review = ReviewBody(
            cti=cti, order="conformance", use=1, state="approved", reason="", redemption_event=cti
        )
        case = ExceptionBody(
            case=1, kind="dispute", state="raised", cause="from a check", operator="nobody"
        )
        self._send_encoded([self._event(12, "review", review), self._event(13, "exception", case)])
        ack = self._expect_ack(committed_through=13)
        refused = [item.seq for item in ack.rejected if item.seq > 11]
        expect(not refused, f"{refused} are rejected")

    def _junk(self) -> None:
        """Survive payloads that are no messages, and answer none of them."""
        for payload in _JUNK:
            self.peer.publish(self._topic(Up.EVENTS), payload)
            self.peer.publish(self._topic(Up.REQUEST), payload)
        expect(self.peer.wait_for(self._ack, 1.0) is None, "it answered one of them")
        self._send()
        self._expect_ack(committed_through=13)

    def _ahead(self) -> None:
        """Acknowledge what it has to a device that holds more, so that it sends again."""
        ahead = codec.encode_batch(self.device, self.epoch, 5000, 0, [], tag=_TAG)
        self.peer.publish(self._topic(Up.EVENTS), ahead)
        self._expect_ack(committed_through=13, acknowledged_through=5000)

    def _restore(self) -> None:
        """Give back what the device redeemed, in signed pages."""
        cti = self.new_id().replace("-", "")
        body = RedeemedBody(
            cti=cti, order="conformance", kind="write_off", use=1, units=1, verdict="accepted",
            kid="00000000", expires_s=self.now().unix_s + 600,
        )  # fmt: skip
        self._send_encoded([self._event(14, "redeemed", body)])
        self._expect_ack(committed_through=14)
        check = RestoreCheck(
            self.peer, self.tenant, self.device, self.site, self.new_id, self._open, self.reply_s
        )
        found = [row for row in check.redemptions(self.epoch, 14) if row.cti.hex() == cti]
        expect(
            [(row.device, row.units) for row in found] == [(self.device, 1)],
            f"{len(found)} redemptions came of the one that was reported",
        )

    # Orders

    def _snapshot(self) -> None:
        """Send the order feed of the site from the start, page by page."""
        page = self._request_snapshot()
        while not page.last and len(self._pages) <= MOST_PAGES:
            page = self._request_snapshot(snapshot=page.revision, number=page.page + 1)
        lives = {each.incarnation for each in self._pages}
        expect(len(lives) == 1, "its pages are of two incarnations")
        ctis = [row[0] for each in self._pages for row in each.rows]
        expect(len(set(ctis)) == len(ctis), "an entitlement is in it twice")

    def _request_snapshot(self, *, snapshot: int = 0, number: int = 0) -> Snapshot:
        page = self._request_page(have=0, snapshot=snapshot, number=number)
        if not isinstance(page, Snapshot):
            raise CheckFailed("a delta came")
        expected = (number, snapshot or page.revision)
        expect(
            (page.page, page.revision) == expected,
            f"page {page.page} of {page.revision} came, requested was {expected}",
        )
        self._pages.append(page)
        return page

    def _resumed_snapshot(self) -> None:
        """Resume a snapshot at the page that is requested, with the same rows as before."""
        last = self._last_page()
        page = self._request_page(have=0, snapshot=last.revision, number=last.page)
        if not isinstance(page, Snapshot):
            raise CheckFailed("a delta came")
        expect((page.page, page.rows) == (last.page, last.rows), "another page came")

    def _nothing_new(self) -> None:
        """Send the changes since a revision, with the digest of the whole feed."""
        revision = self._last_page().revision
        page = self._request_page(have=revision)
        if not isinstance(page, Delta):
            raise CheckFailed("a snapshot came")
        expect(page.from_revision == revision, f"it starts at {page.from_revision}")
        digest = EMPTY_DIGEST
        for row in (row for each in self._pages for row in each.rows):
            digest = xor(digest, row_digest(row))
        unchanged = not page.rows and not page.removed and page.head == page.from_revision
        expect(not unchanged or page.digest == digest, "the digest is not that of the rows")

    def _orders_ahead(self) -> None:
        """Send no orders to a device that has newer ones: the hub has lost them."""
        last = self._last_page()
        request = OrdersRequest(
            dev=self.device,
            id=self.new_id(),
            incarnation=last.incarnation.hex(),
            have=MAX_SEQ,
        )
        self.peer.drop_waiting()
        self.peer.publish(self._topic(Up.REQUEST), codec.encode(request))
        topic = str(Topic(self.tenant, self.device, Down.ORDERS))
        page = self.peer.wait_for(lambda arrival: arrival.topic == topic or None, SILENCE_S)
        expect(page is None, "it sent a page")

    def _last_page(self) -> Snapshot:
        if not self._pages:
            raise CheckFailed("there was no snapshot")
        return self._pages[-1]

    # Grants

    def _unknown_code(self) -> None:
        """Reply to a grant request for a code that it does not know, and sign the reply."""
        request = GrantRequest(
            dev=self.device,
            id=self.new_id(),
            cti=self.new_id().replace("-", ""),
            quantity=1,
            epoch=self.epoch,
            number=1,
        )
        self.peer.publish(self._topic(Up.REQUEST), codec.encode(request))
        response = self.peer.wait_for(
            lambda arrival: self._response(arrival, request), self.reply_s
        )
        if response is None:
            raise CheckFailed("no reply")
        expect(
            response.result in (AuthorisationResult.UNKNOWN, AuthorisationResult.NOT_READY),
            f"the result is {response.result}",
        )
        expect(response.signed, "the reply is not signed")
        reply = GRANT_REPLY.read(self._open(b64decode(response.signed), Purpose.GRANT))
        if isinstance(reply, DocumentRefusal):
            raise CheckFailed(reply.detail)
        expect(
            (reply.device, reply.id, reply.cti.hex()) == (request.dev, request.id, request.cti),
            "the signed reply is to another request",
        )

    # Sending and receiving

    def _send(self, *numbers: int) -> None:
        self._send_encoded([self._effectless_event(number) for number in numbers])

    def _send_encoded(self, events: list[bytes]) -> None:
        batch = codec.encode_batch(self.device, self.epoch, 0, 0, events, tag=_TAG)
        self.peer.publish(self._topic(Up.EVENTS), batch)

    def _effectless_event(self, seq: int) -> bytes:
        """Return an event without effect, the same each time for a number below 9."""
        identity = f"conformance-{seq}" if seq < 9 else self.new_id()
        return self._event(seq, "conformance", {"note": "from a check"}, identity=identity)

    def _event(
        self, seq: int, kind: str, body: WireModel | dict[str, str], *, identity: str = ""
    ) -> bytes:
        event = Event(
            seq=seq,
            id=identity or self.new_id(),
            ts=self.now().unix_s,
            ts_trust="trusted",
            type=kind,
            body=dict(body) if isinstance(body, dict) else body.model_dump(mode="json"),
        )
        encoded = codec.encode_event(event)
        assert isinstance(encoded, bytes)
        return encoded

    def _expect_ack(self, **expected: int) -> Ack:
        """Return the next acknowledgement, if its fields have the values of ``expected``."""
        ack = self.peer.wait_for(self._ack, self.reply_s)
        if ack is None:
            raise CheckFailed(f"no acknowledgement within {self.reply_s:.0f} s")
        expect(ack.tag == _TAG, f"tag is {ack.tag!r}, sent was {_TAG!r}")
        values = {name: getattr(ack, name) for name in expected}
        wrong = [
            f"{name} is {values[name]}, not {value}"
            for name, value in expected.items()
            if values[name] != value
        ]
        expect(not wrong, "; ".join(wrong))
        return ack

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

    def _request_page(self, *, have: int, snapshot: int = 0, number: int = 0) -> Snapshot | Delta:
        request = OrdersRequest(
            dev=self.device,
            id=self.new_id(),
            incarnation=self._pages[-1].incarnation.hex() if self._pages else "",
            have=have,
            snapshot=snapshot,
            page=number,
        )
        self.peer.publish(self._topic(Up.REQUEST), codec.encode(request))
        payload = self._open(self._wait_on(Down.ORDERS, self.device), Purpose.ORDER_FEED)
        while is_review_page(payload):  # decisions come in between
            check_reviews(payload, site=self.site, keys=self._trust, now=self.now())
            payload = self._open(self._wait_on(Down.ORDERS, self.device), Purpose.ORDER_FEED)
        page = read_page(payload, site=self.site)
        if isinstance(page, MessageRefusal):
            raise CheckFailed(page.detail)
        return page

    def _open(self, raw: bytes, purpose: Purpose) -> cbor.Item:
        """Return what is under a signature, which is verified where the roots are known."""
        if self._trust is not None:
            document = open_document(raw, purpose, self._trust, now=self.now())
            if isinstance(document, DocumentRefusal):
                raise CheckFailed(str(document))
            return document.payload
        try:
            return cbor.decode(cose.parse(raw, cose.STRICT).payload or b"", cbor.DOCUMENT_LIMITS)
        except InputRefused as refused:
            raise CheckFailed(f"not a signed document: {refused}") from None

    def _wait_on(self, channel: Down, node: str) -> bytes:
        topic = str(Topic(self.tenant, node, channel))
        raw = self.peer.wait_for(
            lambda arrival: arrival.payload if arrival.topic == topic else None, self.reply_s
        )
        if raw is None:
            raise CheckFailed(f"nothing came on {topic}")
        return raw

    def _topic(self, channel: Up) -> str:
        return str(Topic(self.tenant, self.device, channel))


def _expect_rejected(ack: Ack, numbers: list[int]) -> None:
    rejected = [item.seq for item in ack.rejected]
    expect(rejected == numbers, f"rejected is {rejected}, not {numbers}")
