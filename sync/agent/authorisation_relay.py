"""A device's claims: requests that the scanner wrote go out, signed answers come back into the store.

It also knows whether anybody answers. The scanner asks only while somebody does (``edge.store.online_flag``):
from the word of an authority that it is here (it says so when this device says that it is online), until the
connection is gone or a claim ran out without an answer. From then on it is doubted, and asked after, until it
is heard again: one scan may wait for an authority that died without a word, and no other.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Final

from edge.domain.authorisation import AuthorisationResult
from edge.store import authorisations, outbox
from edge.store.authorisations import AuthorisationReply, AuthorisationRequest
from edge.store.database.store import Store
from edge.token.signed_document import DocumentRefusal
from edge.trust.anchors import Anchors
from edge.values.instant import Instant
from sync.agent.outcomes import DownlinkRefusal
from sync.wire.grant_reply import GRANT_REPLY, GrantReply
from sync.wire.messages import GrantRequest, MessageFault, Response

ASK_AFTER_S: Final = 15.0  # a doubted authority is asked after this often


class AuthorisationRelay:
    """Joins the store's claims to the wire."""

    def __init__(self, store: Store, anchors: Anchors, *, device: str, site: str) -> None:
        self._store = store
        self._anchors = anchors
        self._device = device
        self._site = site
        self._sent: dict[str, AuthorisationRequest] = {}
        self._heard = False
        self._ends_ns: dict[str, int] = {}  # when each claim that may have been granted is over
        self._ask_after_s = 0.0

    @property
    def answered(self) -> bool:
        """Whether an authority is known to answer on this connection."""
        return self._heard

    def connected(self, monotonic_s: float) -> None:
        """A new connection, or none: no authority has been heard on it."""
        self._heard = False
        self._sent.clear()
        self._ask_after_s = monotonic_s + ASK_AFTER_S  # who is there says so by itself

    def heard(self) -> None:
        """An authority is here."""
        self._heard = True

    def started(self) -> None:
        """A hub has just started: it may be the authority that was missed."""
        self._ask_after_s = 0.0

    def due(self, now_ns: int) -> list[GrantRequest]:
        """What to send now. A request that ran out without an answer makes the authority doubtful."""
        for asked in [asked for asked in self._sent.values() if asked.due_ns <= now_ns]:
            del self._sent[asked.id]
            self._heard = False
        if not self._heard:
            return []
        fresh = [
            asked
            for asked in authorisations.open_requests(self._store, now_ns)
            if asked.id not in self._sent
        ]
        self._sent.update({asked.id: asked for asked in fresh})
        self._ends_ns.update(
            {asked.id: asked.due_ns + authorisations.USE_WITHIN_NS for asked in fresh}
        )
        epoch = outbox.current_epoch(self._store)[0] if fresh else ""
        return [self._request(asked, epoch, now_ns) for asked in fresh]

    def over(self, now_ns: int) -> bool:
        """True when, since the last call, a claim has ended that may have been granted: the platform is to be told."""
        ended = [identity for identity, end_ns in self._ends_ns.items() if end_ns <= now_ns]
        for identity in ended:
            del self._ends_ns[identity]
        return bool(ended)

    def asks_after(self, monotonic_s: float) -> bool:
        """True when, connected and not answered, whoever answers claims is to be asked whether it is there."""
        if self._heard or monotonic_s < self._ask_after_s:
            return False
        self._ask_after_s = monotonic_s + ASK_AFTER_S
        return True

    def take(
        self, response: Response, now: Instant, now_ns: int
    ) -> AuthorisationReply | DownlinkRefusal:
        """Believe a signed answer to a request of this device, and write it down. Raises StoreUnavailableError."""
        given = self._believed(response, now)
        if isinstance(given, DownlinkRefusal):
            return given
        asked = self._sent.pop(given.id, None)
        if asked is None or asked.cti != given.cti or given.quantity < asked.units:
            return DownlinkRefusal(
                "grant_not_requested",
                "an answer to nothing that waits for one, or to something else",
            )
        self._heard = True
        answer = AuthorisationReply(
            id=given.id,
            result=given.result,
            used_units=given.used,
            used_minor=given.used_minor,
            authority=given.authority,
        )
        authorisations.record_reply(self._store, answer, now_ns)
        if given.result is not AuthorisationResult.GRANTED:
            self._ends_ns.pop(given.id, None)
        return answer

    def _believed(self, response: Response, now: Instant) -> GrantReply | DownlinkRefusal:
        try:
            raw = b64decode(response.signed, validate=True)
        except (binascii.Error, ValueError):
            return DownlinkRefusal(MessageFault.WRONG_SHAPE, "signed: not base64")
        trust = self._anchors.trust
        opened = GRANT_REPLY.open_with_key(raw, trust, now=now)
        if isinstance(opened, DocumentRefusal):
            return DownlinkRefusal(opened.fault, opened.detail)
        answer, key = opened
        if answer.device != self._device or answer.site != self._site:
            return DownlinkRefusal(MessageFault.WRONG_DEVICE, "an answer to another device")
        if key.audiences is not None and self._site not in key.audiences:
            return DownlinkRefusal(
                MessageFault.WRONG_SITE, "the key may not answer claims of this site"
            )
        return answer

    def _request(self, asked: AuthorisationRequest, epoch: str, now_ns: int) -> GrantRequest:
        return GrantRequest(
            dev=self._device,
            id=asked.id,
            cti=asked.cti.hex(),
            quantity=asked.units,
            epoch=epoch,
            number=asked.number,
            order_quantity=asked.order_quantity,
            order_amount_minor=asked.order_amount_minor,
            wait_ms=min(60_000, max(1, (asked.due_ns - now_ns) // 1_000_000)),
        )
