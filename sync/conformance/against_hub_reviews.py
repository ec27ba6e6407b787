"""Check that a page of reviews, as a hub sends it, is one that a device can verify."""

from __future__ import annotations

from edge.token import cbor
from edge.token.signed_document import DocumentRefusal, Keyring
from edge.values.instant import Instant
from sync.conformance.peer import CheckFailed
from sync.wire.messages import MessageRefusal
from sync.wire.review_decision import open_review_decision
from sync.wire.review_page import is_review_page, read_review_page


def check_reviews(payload: cbor.Item, *, site: str, keys: Keyring | None, now: Instant) -> None:
    """Raise CheckFailed for a page of reviews that is wrong. Any other page passes.

    Without ``keys`` the signatures of its decisions are not verified.
    """
    if not is_review_page(payload):
        return
    page = read_review_page(payload, site=site)
    if isinstance(page, MessageRefusal):
        raise CheckFailed(f"a page of reviews: {page.detail}")
    if keys is None:
        return
    for raw in page.rows:
        if isinstance(refusal := open_review_decision(raw, keys, now=now), DocumentRefusal):
            raise CheckFailed(f"a decision in a page of reviews: {refusal}")
