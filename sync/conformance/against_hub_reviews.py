"""Is a page of reviews, as a hub sends it, one that a device can believe? Any other page is left to others."""

from __future__ import annotations

from edge.token import cbor
from edge.token.signed_document import DocumentRefusal, Keyring
from edge.values.instant import Instant
from sync.wire.messages import MessageRefusal
from sync.wire.review_decision import open_review_decision
from sync.wire.review_page import is_review_page, read_review_page


def reviews_fault(payload: cbor.Item, *, site: str, keys: Keyring | None, now: Instant) -> str:
    """What is wrong with it, or nothing. Without ``keys`` the signatures of its decisions are not looked at."""
    if not is_review_page(payload):
        return ""
    page = read_review_page(payload, site=site)
    if isinstance(page, MessageRefusal):
        return f"a page of reviews: {page.detail}"
    if keys is None:
        return ""
    for raw in page.rows:
        if isinstance(refusal := open_review_decision(raw, keys, now=now), DocumentRefusal):
            return f"a decision in a page of reviews: {refusal}"
    return ""
