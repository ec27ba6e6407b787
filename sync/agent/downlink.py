"""Signed documents from the platform: accepted only when their signature holds here (law 4).

The broker and the hub's connection prove nothing. A document that is forged, older than one that
was seen, or for another site changes nothing; the caller names and counts what became of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from edge.documents.operator_list import OperatorList
from edge.documents.settings import MOST_GROUPS
from edge.operators.known_lists import store_operator_list
from edge.store import documents
from edge.store.database.store import Store
from edge.store.documents import StoreResult
from edge.store.order_shrink import SHRINK_LIMITS, ShrinkLimits
from edge.store.reviews import ReviewResult
from edge.token import cbor
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused
from edge.token.roots import Roots
from edge.token.signed_document import DocumentRefusal, open_document
from edge.token.status_list import open_status_list
from edge.token.trust_list import open_trust_list
from edge.trust.anchors import Anchors
from edge.values.instant import Instant
from sync.agent.order_intake import OrderIntake
from sync.agent.outcomes import DocumentOutcome, DownlinkRefusal, Outcome
from sync.agent.review_intake import apply_decision
from sync.wire.messages import MessageFault, MessageRefusal, OrdersRequest
from sync.wire.order_feed import read_page
from sync.wire.order_feed_cbor import Decoded, decode_page
from sync.wire.review_page import is_review_page, read_review_page

MOST_STATUS_LISTS: Final = 64  # in one message
MOST_DOCUMENTS: Final = MOST_GROUPS + 3  # in one message on a dn/cfg topic: one of each layer


class Downlink:
    """Stores documents that are verified, and knows when to ask for orders."""

    def __init__(
        self,
        store: Store,
        roots: Roots,
        anchors: Anchors,
        *,
        device: str,
        site: str,
        vouch: Callable[[int], None],
        limits: ShrinkLimits = SHRINK_LIMITS,
    ) -> None:
        """Call ``vouch`` with the issue time (Unix seconds) of each verified document."""
        self._store = store
        self._roots = roots
        self._anchors = anchors
        self._device = device
        self._site = site
        self._vouch = vouch
        self._orders = OrderIntake(store, device=device, limits=limits)

    def request_now(self, monotonic_s: float) -> None:
        """Request orders with the next step: some may have been missed."""
        self._orders.request_now(monotonic_s)

    def next_request(
        self, monotonic_s: float, *, new_id: Callable[[], str]
    ) -> OrdersRequest | None:
        """Return the request to send now, if any. Without a key no reply could be verified."""
        if not self._anchors.trust.keys:
            return None
        return self._orders.next_request(monotonic_s, new_id=new_id)

    def remove_stale_rows(self) -> None:
        """Remove some orders that a snapshot left behind. For idle moments.

        Raises StoreUnavailableError.
        """
        self._orders.remove_stale_rows()

    def receive_trust_list(self, raw: bytes, now: Instant) -> Outcome:
        """Store a trust list. Raises StoreUnavailableError."""
        trust = open_trust_list(raw, roots=self._roots, now=now)
        if isinstance(trust, DocumentRefusal):
            return DownlinkRefusal(trust.fault, trust.detail)
        self._vouch(trust.issued_at_s)
        result = documents.put(
            self._store,
            name=documents.TRUST_LIST,
            version=trust.version,
            issued_at_s=trust.issued_at_s,
            raw=raw,
            now=now,
        )
        if result is StoreResult.STORED:
            self._anchors.refresh(now)
            self._orders.request_now(0.0)
        return _stored(result, DocumentOutcome.TRUST_LIST)

    def receive_status_lists(self, raw: bytes, now: Instant) -> list[Outcome]:
        """Store the status lists of every issuer key: a CBOR array of signed documents.

        Raises StoreUnavailableError.
        """
        items = _split_array(raw, MOST_STATUS_LISTS)
        if isinstance(items, DownlinkRefusal):
            return [items]
        outcomes = [self._status_list(item, now) for item in items]
        if DocumentOutcome.STATUS_LIST in outcomes:
            self._anchors.refresh(now)
        return outcomes

    def receive_operator_list(self, raw: bytes, now: Instant) -> Outcome:
        """Store the list of who may sign in at this site. Raises StoreUnavailableError."""
        result = store_operator_list(
            self._store, raw, keys=self._anchors.trust, audiences=frozenset({self._site}), now=now
        )
        if isinstance(result, OperatorList):
            self._vouch_within_list(result.issued_at_s)
            return DocumentOutcome.OPERATORS
        if isinstance(result, DocumentRefusal):
            return DownlinkRefusal(result.fault, result.detail)
        return _stored(result, DocumentOutcome.OPERATORS)

    def receive_page(self, raw: bytes, now: Instant, monotonic_s: float) -> Outcome:
        """Apply a page of the order feed. Raises StoreUnavailableError."""
        document = open_document(
            raw, Purpose.ORDER_FEED, self._anchors.trust, now=now, decode=decode_page
        )
        if isinstance(document, DocumentRefusal):
            return DownlinkRefusal(document.fault, document.detail)
        decoded: Decoded = document.payload
        if is_review_page(decoded.item):
            return self._reviews(decoded.item, now)
        page = read_page(decoded, site=self._site)
        if isinstance(page, MessageRefusal):
            return DownlinkRefusal(page.fault, page.detail)
        self._vouch_within_list(page.issued_at_s)
        return self._orders.apply(page, now, monotonic_s)

    def _reviews(self, payload: cbor.Item, now: Instant) -> Outcome:
        """Apply what reviewers decided. Other devices' reviews and earlier ones change nothing."""
        page = read_review_page(payload, site=self._site)
        if isinstance(page, MessageRefusal):
            return DownlinkRefusal(page.fault, page.detail)
        self._vouch_within_list(page.issued_at_s)
        keys = self._anchors.trust
        outcomes = [
            apply_decision(self._store, raw, keys=keys, device=self._device, now=now)
            for raw in page.rows
        ]
        for outcome in outcomes:
            if isinstance(outcome, DownlinkRefusal):
                return outcome
        return DocumentOutcome.REVIEWS if ReviewResult.DONE in outcomes else DocumentOutcome.SAME

    def _vouch_within_list(self, issued_at_s: int) -> None:
        """Vouch for a time within the trust list's: a server's clock may be years ahead."""
        if issued_at_s < self._anchors.trust.expires_at_s:
            self._vouch(issued_at_s)

    def _status_list(self, raw: object, now: Instant) -> Outcome:
        if not isinstance(raw, bytes):
            return DownlinkRefusal(MessageFault.WRONG_SHAPE, "a status list is a byte string")
        status = open_status_list(raw, keys=self._anchors.trust, now=now)
        if isinstance(status, DocumentRefusal):
            return DownlinkRefusal(status.fault, status.detail)
        self._vouch_within_list(status.issued_at_s)
        result = documents.put(
            self._store,
            name=documents.status_list_name(status.kid),
            version=status.version,
            issued_at_s=status.issued_at_s,
            raw=raw,
            now=now,
        )
        return _stored(result, DocumentOutcome.STATUS_LIST)


def split_documents(payload: bytes) -> list[bytes] | DownlinkRefusal:
    """Return the documents of a message on a ``dn/cfg`` topic: a CBOR array of byte strings."""
    items = _split_array(payload, MOST_DOCUMENTS)
    if isinstance(items, DownlinkRefusal):
        return items
    documents = [item for item in items if type(item) is bytes]
    if len(documents) < len(items):
        return DownlinkRefusal(MessageFault.WRONG_SHAPE, "a document is a byte string")
    return documents


def _split_array(payload: bytes, most: int) -> list[cbor.Item] | DownlinkRefusal:
    try:
        items = cbor.decode(payload, cbor.DOCUMENT_LIMITS)
    except InputRefused as refused:
        return DownlinkRefusal(MessageFault.NOT_CBOR, str(refused))
    if not isinstance(items, list) or len(items) > most:
        detail = f"documents come as an array of at most {most}"
        return DownlinkRefusal(MessageFault.WRONG_SHAPE, detail)
    return items


def _stored(result: StoreResult, outcome: DocumentOutcome) -> Outcome:
    match result:
        case StoreResult.STORED:
            return outcome
        case StoreResult.SAME:
            return DocumentOutcome.SAME
        case StoreResult.ROLLBACK:
            return DownlinkRefusal("document_rollback", "older than what was seen before")
        case StoreResult.EQUIVOCATION:
            return DownlinkRefusal(
                "document_equivocation",
                "the version that is here, with other content: a security alarm",
            )
        case _:
            assert_never(result)
