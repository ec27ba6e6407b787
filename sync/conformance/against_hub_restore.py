"""Check that a hub gives back what a device reported, as to one that has lost its store."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.token.cbor import Item
from edge.token.purpose import Purpose
from edge.token.signed_document import DocumentRefusal
from sync.conformance.peer import CheckFailed, Peer, expect
from sync.mqtt.endpoint import Arrival
from sync.wire import codec
from sync.wire.messages import RestoreReply, RestoreRequest
from sync.wire.restore_page import RESTORE_PAGE, PlatformRedemption, RestorePage
from sync.wire.topics import Down, Topic, Up

_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class RestoreCheck:
    """``open_signed`` returns what is under a signature, or raises CheckFailed."""

    peer: Peer
    tenant: str
    device: str
    site: str
    new_id: Callable[[], str]
    open_signed: Callable[[bytes, Purpose], Item]
    reply_s: float

    def redemptions(self, epoch: str, through: int) -> Iterator[PlatformRedemption]:
        """Yield every redemption that the hub gives back. It has ``epoch`` through ``through``."""
        after, pages = "", 0
        while pages < _MOST_PAGES:
            page = self._request(after, epoch)
            expect(page.streams == ((epoch, through),), f"of {epoch} it has {page.streams}")
            yield from page.rows
            if page.last:
                return
            expect(page.next != after, "the next page is the same again")
            after, pages = page.next, pages + 1
        raise CheckFailed(f"no last page among {_MOST_PAGES}")

    def _request(self, after: str, epoch: str) -> RestorePage:
        request = RestoreRequest(dev=self.device, id=self.new_id(), after=after, epochs=[epoch])
        self.peer.publish(str(Topic(self.tenant, self.device, Up.REQUEST)), codec.encode(request))
        reply = self.peer.wait_for(lambda arrival: self._reply(arrival, request.id), self.reply_s)
        if reply is None:
            raise CheckFailed("no reply")
        page = RESTORE_PAGE.read(self.open_signed(b64decode(reply.signed), Purpose.GRANT))
        if isinstance(page, DocumentRefusal):
            raise CheckFailed(page.detail)
        expect(
            (page.device, page.id, page.site, page.after)
            == (self.device, request.id, self.site, after),
            "the signed page is for another device or another request",
        )
        return page

    def _reply(self, arrival: Arrival, request_id: str) -> RestoreReply | None:
        if arrival.topic != str(Topic(self.tenant, self.device, Down.RESPONSE)):
            return None
        reply = codec.decode_reply(arrival.payload, dev=self.device)
        return reply if isinstance(reply, RestoreReply) and reply.id == request_id else None
