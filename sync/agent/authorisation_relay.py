"""Authorisation requests of the scanner go to the platform, signed replies come into the store.

The scanner asks only while an authority replies (``edge.store.online_flag``). An authority reports
that it is here when this device reports that it is online. It counts as here until the connection
is lost or a request expires without a reply. From then on this device asks for it at intervals. So
one scan may wait for an authority that stopped without notice, and no other scan does.
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

AUTHORITY_REQUEST_S: Final = 15.0  # without an authority, the device asks for one this often


class AuthorisationRelay:
    """Joins the store's authorisation requests to the wire."""

    def __init__(self, store: Store, anchors: Anchors, *, device: str, site: str) -> None:
        self._store = store
        self._anchors = anchors
        self._device = device
        self._site = site
        self._sent: dict[str, AuthorisationRequest] = {}
        self._has_authority = False
        self._ends_ns: dict[str, int] = {}  # when each grant that may have been made ends
        self._request_authority_at_s = 0.0

    @property
    def has_authority(self) -> bool:
        """Return whether an authority is known to reply on this connection."""
        return self._has_authority

    def start_over(self, monotonic_s: float) -> None:
        """Begin without a connection, or on a new one: no authority has reported on it."""
        self._has_authority = False
        self._sent.clear()
        self._request_authority_at_s = (
            monotonic_s + AUTHORITY_REQUEST_S
        )  # an authority reports by itself

    def note_authority(self) -> None:
        """Note that an authority has reported that it is here."""
        self._has_authority = True

    def request_authority_soon(self) -> None:
        """Ask for an authority with the next step: a hub has just started."""
        self._request_authority_at_s = 0.0

    def next_requests(self, now_ns: int) -> list[GrantRequest]:
        """Return what to send now. After a request without a reply, no authority counts as here."""
        for request in [request for request in self._sent.values() if request.due_ns <= now_ns]:
            del self._sent[request.id]
            self._has_authority = False
        if not self._has_authority:
            return []
        fresh = [
            request
            for request in authorisations.open_requests(self._store, now_ns)
            if request.id not in self._sent
        ]
        self._sent.update({request.id: request for request in fresh})
        self._ends_ns.update(
            {request.id: request.due_ns + authorisations.USE_WITHIN_NS for request in fresh}
        )
        epoch = outbox.current_epoch(self._store)[0] if fresh else ""
        return [self._request(request, epoch, now_ns) for request in fresh]

    def release_ended(self, now_ns: int) -> bool:
        """Return whether a grant that may have been made ended since the last call.

        The platform then learns that it is unused.
        """
        ended = [identity for identity, end_ns in self._ends_ns.items() if end_ns <= now_ns]
        for identity in ended:
            del self._ends_ns[identity]
        return bool(ended)

    def wants_authority(self, monotonic_s: float) -> bool:
        """Return whether a connected device is to ask, at intervals, for an authority."""
        if self._has_authority or monotonic_s < self._request_authority_at_s:
            return False
        self._request_authority_at_s = monotonic_s + AUTHORITY_REQUEST_S
        return True

    def receive(
        self, response: Response, now: Instant, now_ns: int
    ) -> AuthorisationReply | DownlinkRefusal:
        """Write down a signed reply to a request of this device. Raises StoreUnavailableError."""
        reply = self._verified(response, now)
        if isinstance(reply, DownlinkRefusal):
            return reply
        request = self._sent.pop(reply.id, None)
        if request is None or request.cti != reply.cti or reply.quantity < request.units:
            return DownlinkRefusal(
                "grant_not_requested", "a reply that no request waits for, or to something else"
            )
        self._has_authority = True
        stored = AuthorisationReply(
            id=reply.id,
            result=reply.result,
            used_units=reply.used,
            used_minor=reply.used_minor,
            used_s=reply.used_s,
            used_by=reply.used_by,
            authority=reply.authority,
        )
        authorisations.record_reply(self._store, stored, now_ns)
        if reply.result is not AuthorisationResult.GRANTED:
            self._ends_ns.pop(reply.id, None)
        return stored

    def _verified(self, response: Response, now: Instant) -> GrantReply | DownlinkRefusal:
        try:
            raw = b64decode(response.signed, validate=True)
        except (binascii.Error, ValueError):
            return DownlinkRefusal(MessageFault.WRONG_SHAPE, "signed: not base64")
        trust = self._anchors.trust
        opened = GRANT_REPLY.open_with_key(raw, trust, now=now)
        if isinstance(opened, DocumentRefusal):
            return DownlinkRefusal(opened.fault, opened.detail)
        reply, key = opened
        if reply.device != self._device or reply.site != self._site:
            return DownlinkRefusal(MessageFault.WRONG_DEVICE, "a reply to another device")
        if key.audiences is not None and self._site not in key.audiences:
            return DownlinkRefusal(
                MessageFault.WRONG_SITE, "the key may not grant requests of this site"
            )
        return reply

    def _request(self, request: AuthorisationRequest, epoch: str, now_ns: int) -> GrantRequest:
        return GrantRequest(
            dev=self._device,
            id=request.id,
            cti=request.cti.hex(),
            quantity=request.units,
            epoch=epoch,
            number=request.number,
            order_quantity=request.order_quantity,
            order_amount_minor=request.order_amount_minor,
            counted=None if request.counted is None else list(request.counted),
            wait_ms=min(60_000, max(1, (request.due_ns - now_ns) // 1_000_000)),
        )
