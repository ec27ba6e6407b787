"""Decisions of the platform's reviewers, as a page of the signed order feed: kind 3. Pure.

``{1: 3, 2: site, 3: issued_at_s, 4: rows}``. A row is a decision as its reviewer signed it
(``sync.wire.review_decision``), so that the key of the feed alone decides nothing. A decision that
comes twice, or late, changes nothing: the device applies it only while the redemption waits, and
never one of the person who scanned it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.token.cbor import Item
from sync.wire.messages import MessageFault, MessageRefusal

KIND: Final = 3
_KIND, _SITE, _ISSUED_AT, _ROWS = 1, 2, 3, 4
LONGEST_ROW: Final = 4000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPage:
    """Signed decisions for the devices of a site."""

    site: str
    issued_at_s: int
    rows: tuple[bytes, ...]


def review_payload(page: ReviewPage) -> Item:
    """Return the CBOR item to sign."""
    return {_KIND: KIND, _SITE: page.site, _ISSUED_AT: page.issued_at_s, _ROWS: list(page.rows)}


def is_review_page(payload: Item) -> bool:
    """Return whether a page of the feed is of this kind."""
    return isinstance(payload, dict) and payload.get(_KIND) == KIND


def read_review_page(payload: Item, *, site: str) -> ReviewPage | MessageRefusal:
    """Return the page in an item whose signature held, all of it or nothing."""
    assert isinstance(payload, dict)
    issued_at_s, rows = payload.get(_ISSUED_AT), payload.get(_ROWS)
    if (
        payload.keys() != {_KIND, _SITE, _ISSUED_AT, _ROWS}
        or type(issued_at_s) is not int
        or type(rows) is not list
    ):
        return MessageRefusal(MessageFault.WRONG_SHAPE, "not a page of reviews")
    if payload[_SITE] != site:
        return MessageRefusal(
            MessageFault.WRONG_SITE, f"a page for another site, this device is at {site}"
        )
    decisions = tuple(row for row in rows if type(row) is bytes and len(row) <= LONGEST_ROW)
    if len(decisions) != len(rows):
        return MessageRefusal(
            MessageFault.WRONG_SHAPE, "a row of the reviews is no signed decision"
        )
    return ReviewPage(site=site, issued_at_s=issued_at_s, rows=decisions)
