"""The order feed of a site: pages of entitlements as CBOR, each carried in a signed document. Pure.

Each change of an order gives its row the next *revision*. A **snapshot** is every row as of a
revision, in numbered pages of fixed bounds, so that it can be resumed where it was cut. A
**delta** takes a device from one revision to a later one. One that does not start at the device's
revision is a gap, and the device requests from what it has (``sync.wire.messages.OrdersRequest``).
A delta to the newest revision without rows says that the device has everything as of
``issued_at_s``.

Revisions can be compared only within one *incarnation* of the hub's store. A store begins one when
it is made, and when a person resumes it after a loss. Later ones are greater (UUIDv7).

``{1: kind, 2: site, 3: issued_at_s, 4: rows, 13: incarnation, 14: [revision, rows]}``. The last,
which may be absent, is the newest state of the feed that a person has confirmed although it drops
orders. A snapshot (kind 1) has ``5: revision, 6: page, 7: last``. A delta (kind 2) has ``8: from,
9: to, 10: head, 11: removed ctis, 12: digest``. Rows, and the digest of a feed at ``head``, are
those of ``edge.domain.order_row``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from edge.domain.order_row import Row
from edge.token import fields
from edge.token.cbor import Item
from edge.token.rejection import InputRefused
from sync.wire.limits import PageBounds
from sync.wire.messages import MAX_SEQ, MessageFault, MessageRefusal
from sync.wire.order_feed_cbor import ROWS as _ROWS
from sync.wire.order_feed_cbor import Decoded
from sync.wire.order_feed_columns import TIME_END, rows_size

INCARNATION_BYTES: Final = 16
PAGE_ROWS: Final = 500  # and removed ctis, of one page
PAGE: Final = PageBounds(PAGE_ROWS)
REMOVED_BYTES: Final = 17  # of a removed cti
_SNAPSHOT, _DELTA = 1, 2
_KIND, _SITE, _ISSUED_AT = 1, 2, 3
_REVISION, _PAGE, _LAST = 5, 6, 7
_FROM, _TO, _HEAD, _REMOVED, _DIGEST = 8, 9, 10, 11, 12
_INCARNATION, _CONFIRMED = 13, 14
_LABELS: Final = frozenset(range(1, 15))
_END: Final = MAX_SEQ + 1


class Confirmation(NamedTuple):
    """A person has confirmed that a feed at ``revision`` has no more than ``rows`` orders."""

    revision: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Page ``page`` (from 0) of everything at ``revision``."""

    site: str
    issued_at_s: int
    incarnation: bytes  # 16 bytes
    revision: int
    page: int
    last: bool
    rows: tuple[Row, ...]
    confirmed: Confirmation | None = None
    digests: Mapping[bytes, int] = dataclasses.field(
        default_factory=dict, compare=False
    )  # of the rows; empty: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The changes after ``from_revision`` up to ``to_revision``.

    There are more while ``to_revision`` is below ``head``.
    """

    site: str
    issued_at_s: int
    incarnation: bytes  # 16 bytes
    from_revision: int
    to_revision: int
    head: int
    rows: tuple[Row, ...]
    removed: tuple[bytes, ...]
    digest: bytes  # of the whole feed at ``head``
    confirmed: Confirmation | None = None
    digests: Mapping[bytes, int] = dataclasses.field(
        default_factory=dict, compare=False
    )  # as a snapshot's


def page_payload(page: Snapshot | Delta) -> Item:
    """Return the CBOR item to sign."""
    common = {
        _SITE: page.site,
        _ISSUED_AT: page.issued_at_s,
        _ROWS: list(page.rows),
        _INCARNATION: page.incarnation,
    }
    if page.confirmed is not None:
        common[_CONFIRMED] = list(page.confirmed)
    if isinstance(page, Snapshot):
        return {
            **common,
            _KIND: _SNAPSHOT,
            _REVISION: page.revision,
            _PAGE: page.page,
            _LAST: page.last,
        }
    return {
        **common,
        _KIND: _DELTA,
        _FROM: page.from_revision,
        _TO: page.to_revision,
        _HEAD: page.head,
        _REMOVED: list(page.removed),
        _DIGEST: page.digest,
    }


def read_page(payload: Item, *, site: str) -> Snapshot | Delta | MessageRefusal:
    """Return the page in ``payload``, all of it or nothing.

    ``payload`` is an item whose signature held, or what ``decode_page`` made of it.
    """
    decoded = payload if isinstance(payload, Decoded) else Decoded(payload)
    try:
        page = _read(decoded.item, decoded)
    except (InputRefused, ValueError) as wrong:
        return MessageRefusal(MessageFault.WRONG_SHAPE, str(wrong))
    if page.site != site:
        return MessageRefusal(
            MessageFault.WRONG_SITE, f"a page for {page.site}, this device is at {site}"
        )
    return page


def _read(page: Item, decoded: Decoded) -> Snapshot | Delta:
    page = fields.mapping(page, "page", _LABELS)
    kind = fields.integer(page, _KIND, "kind", _SNAPSHOT, _DELTA + 1)
    site = fields.text(page, _SITE, "site")
    issued_at_s = fields.integer(page, _ISSUED_AT, "issued at", 0, TIME_END)
    incarnation = fields.octets(page, _INCARNATION, "incarnation", INCARNATION_BYTES)
    confirmed = _confirmation(page)
    items = fields.array(page, _ROWS, "rows")
    if not decoded.rows_checked:
        rows_size(items)
    rows = tuple(items)
    if kind == _SNAPSHOT:
        revision = fields.integer(page, _REVISION, "revision", 1, _END)
        return Snapshot(
            site=site,
            issued_at_s=issued_at_s,
            incarnation=incarnation,
            confirmed=confirmed,
            revision=revision,
            page=fields.integer(page, _PAGE, "page", 0, 2**31),
            last=fields.boolean(page, _LAST, "last"),
            rows=rows,
            digests=decoded.digests,
        )
    to_revision = fields.integer(page, _TO, "to", 1, _END)
    return Delta(
        site=site,
        issued_at_s=issued_at_s,
        incarnation=incarnation,
        confirmed=confirmed,
        from_revision=fields.integer(page, _FROM, "from", 0, to_revision + 1),
        to_revision=to_revision,
        head=fields.integer(page, _HEAD, "head", to_revision, _END),
        rows=rows,
        digests=decoded.digests,
        removed=tuple(
            fields.octets({0: item}, 0, "a removed cti", 16)
            for item in fields.array(page, _REMOVED, "removed")
        ),
        digest=fields.octets(page, _DIGEST, "digest", 32),
    )


def _confirmation(page: dict[Item, Item]) -> Confirmation | None:
    if _CONFIRMED not in page:
        return None
    pair = fields.row(page[_CONFIRMED], "confirmed", 2)
    return Confirmation(
        revision=fields.integer(pair, 0, "confirmed revision", 1, _END),
        rows=fields.integer(pair, 1, "confirmed rows", 0, _END),
    )
