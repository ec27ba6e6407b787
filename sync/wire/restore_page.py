"""A page of what a device, and its site, redeemed before its present store: signed. Pure.

A device that has lost its store asks for it (``sync.wire.messages.RestoreRequest``). The page
changes what is accepted, so it is a signed document, which travels as base64 in ``RestoreReply``.
It names the device and the request: a page that was given once cannot be replayed.

``next`` is where the following page begins, in a text that only the authority reads; the last page
has none. ``streams`` says through which event the authority has each epoch that the request names.
So the device sees when the authority has lost what it acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.documents.document_type import (
    CborMap,
    DocumentField,
    DocumentType,
    boolean,
    free_text,
    text,
    time,
)
from edge.token import fields
from edge.token.cbor import Item
from edge.token.purpose import Purpose
from sync.wire.limits import PageBounds
from sync.wire.messages import LONGEST_CURSOR, MAX_SEQ

# Over a thin line a page takes seconds, not minutes.
RESTORE_BOUNDS: Final = PageBounds(most_items=500, most_bytes=32 * 1024)
_END: Final = MAX_SEQ + 1


@dataclass(frozen=True, slots=True)
class PlatformRedemption:
    """A redemption that no reversal took back."""

    cti: bytes
    device: str
    units: int
    amount_minor: int | None
    at_s: int  # Unix seconds
    event_id: str  # of the event that first reported it


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePage:
    """Some of the redemptions, in the authority's order."""

    device: str
    id: str  # of the request
    site: str
    authority: str
    issued_at_s: int  # Unix seconds
    after: str  # where this page begins, as in the request
    next: str  # where the next one begins; empty on the last page
    last: bool
    rows: tuple[PlatformRedemption, ...] = ()
    streams: tuple[tuple[str, int], ...] = ()  # epoch of this device, received through


def row_bytes(row: PlatformRedemption) -> int:
    """Return at most how many bytes a row takes in a page."""
    return 48 + len(row.device.encode()) + len(row.event_id.encode())


def _write_rows(rows: tuple[PlatformRedemption, ...]) -> Item:
    return [[r.cti, r.device, r.units, r.amount_minor, r.at_s, r.event_id] for r in rows]


def _read_rows(signed: CborMap, label: int, name: str) -> tuple[PlatformRedemption, ...]:
    return tuple(_row(item) for item in fields.array(signed, label, name))


def _row(item: Item) -> PlatformRedemption:
    row = fields.row(item, "redemption", 6)
    return PlatformRedemption(
        cti=fields.octets(row, 0, "cti", 16),
        device=fields.text(row, 1, "device"),
        units=fields.integer(row, 2, "units", 0, _END),
        amount_minor=None if row[3] is None else fields.integer(row, 3, "amount", 0, _END),
        at_s=fields.integer(row, 4, "time", 0, fields.TIME_END),
        event_id=fields.text(row, 5, "event"),
    )


def _write_streams(streams: tuple[tuple[str, int], ...]) -> Item:
    return [list(stream) for stream in streams]


def _read_streams(signed: CborMap, label: int, name: str) -> tuple[tuple[str, int], ...]:
    rows = (fields.row(item, "stream", 2) for item in fields.array(signed, label, name))
    return tuple(
        (fields.text(row, 0, "epoch"), fields.integer(row, 1, "seq", 0, _END)) for row in rows
    )


def _consistent(page: RestorePage) -> None:
    if page.last == bool(page.next):
        raise ValueError("only the last page has nothing after it")


RESTORE_PAGE: Final = DocumentType(
    name="restore page",
    purpose=Purpose.GRANT,
    content=RestorePage,
    rule=_consistent,
    fields=(
        text(40, "device"),
        text(41, "id"),
        text(42, "site"),
        text(43, "authority"),
        time(44, "issued_at_s"),
        free_text(45, "after", longest=LONGEST_CURSOR),
        free_text(46, "next", longest=LONGEST_CURSOR),
        boolean(47, "last"),
        DocumentField(48, "rows", _read_rows, _write_rows),
        DocumentField(49, "streams", _read_streams, _write_streams),
    ),
)
