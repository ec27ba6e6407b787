"""What the platform's reviewers decided, as a page of the signed order feed: kind 3. Pure.

``{1: 3, 2: site, 3: issued_at_s, 4: rows}``; a row is ``[device, epoch, seq, cti, approve, by, reason]`` and names
the event by which a device told the redemption. A decision that comes twice, or late, changes nothing: the device
takes it only while the redemption waits, and never from the person who scanned it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.token.cbor import Item
from sync.wire import MAX_SEQ, Fault, Malformed

KIND: Final = 3
_KIND, _SITE, _ISSUED_AT, _ROWS = 1, 2, 3, 4
_ROW_LENGTH: Final = 7
_LONGEST_TEXT: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One decision of a person at the platform."""

    device: str
    epoch: str
    seq: int
    cti: bytes
    approve: bool
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPage:
    """Decisions for the devices of a site."""

    site: str
    issued_at_s: int
    rows: tuple[Decided, ...]


def review_payload(page: ReviewPage) -> Item:
    """The CBOR item to sign."""
    rows: list[Item] = [[row.device, row.epoch, row.seq, row.cti, row.approve, row.by, row.reason] for row in page.rows]
    return {_KIND: KIND, _SITE: page.site, _ISSUED_AT: page.issued_at_s, _ROWS: rows}


def is_review_page(payload: Item) -> bool:
    """Whether a page of the feed is of this kind."""
    return isinstance(payload, dict) and payload.get(_KIND) == KIND


def read_review_page(payload: Item, *, site: str) -> ReviewPage | Malformed:
    """Read a page whose signature held. All of it, or nothing."""
    assert isinstance(payload, dict)
    issued_at_s, rows = payload.get(_ISSUED_AT), payload.get(_ROWS)
    if payload.keys() != {_KIND, _SITE, _ISSUED_AT, _ROWS} or type(issued_at_s) is not int or type(rows) is not list:
        return Malformed(Fault.WRONG_SHAPE, "not a page of reviews")
    if payload[_SITE] != site:
        return Malformed(Fault.WRONG_SITE, f"a page for another site, this device is at {site}")
    decided = tuple(_row(row) for row in rows)
    if None in decided:
        return Malformed(Fault.WRONG_SHAPE, f"row {decided.index(None)} of the reviews")
    return ReviewPage(site=site, issued_at_s=issued_at_s, rows=tuple(row for row in decided if row is not None))


def _row(row: Item) -> Decided | None:
    if type(row) is not list or len(row) != _ROW_LENGTH:
        return None
    device, epoch, seq, cti, approve, by, reason = row
    texts = (device, epoch, by, reason)
    if any(type(text) is not str or len(text) > _LONGEST_TEXT for text in texts) or not by:
        return None
    if type(seq) is not int or not 1 <= seq <= MAX_SEQ or type(approve) is not bool:
        return None
    if type(cti) is not bytes or len(cti) != 16:
        return None
    return Decided(
        device=str(device), epoch=str(epoch), seq=seq, cti=cti, approve=approve, by=str(by), reason=str(reason)
    )
