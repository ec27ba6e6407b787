"""The lease by which a site's authority has authority over the site's entitlements. Pure.

The authority requests it (``LeaseRequest``, JSON on its ``up/req``). The platform replies with a
signed document (``LeaseReply`` on ``dn/res``). With ``catch_up`` the document carries what devices
have redeemed so far, some entitlements at a time, and how far the platform had received each
device's events when the first of these pages was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from edge.documents.document_type import (
    CborMap,
    DocumentField,
    DocumentType,
    free_text,
    integer,
    text,
)
from edge.token import fields
from edge.token.cbor import Item
from edge.token.purpose import Purpose
from edge.values.node_name import NAME
from sync.wire.limits import MOST_MESSAGE_BYTES, PageBounds
from sync.wire.messages import MAX_SEQ, Count, Name, RequestIdent, WireModel

USES: Final = PageBounds(1000)  # redemptions a page
_CURSOR: Final = rf"[0-9a-f]{{32}}/{NAME}/[0-9A-Za-z-]{{1,40}}/[0-9]{{1,16}}"
_END: Final = MAX_SEQ + 1


class LeaseRequest(WireModel):
    """Request the authority over a site's entitlements, or more of what was redeemed there."""

    v: Literal[1] = Field(1, description="version of the protocol")
    type: Literal["lease"] = Field("lease", description="type of the request")
    id: RequestIdent
    site: Name = Field(description="the site")
    term: Count = Field(0, description="term of the lease that is held; 0: none")
    catch_up: bool = Field(default=False, description="whether to send what was redeemed so far")
    after: str = Field(
        "",
        pattern=rf"^({_CURSOR})?$",
        description="`next` of the page before; empty: from the first redemption",
    )


class LeaseReply(WireModel):
    """The platform's reply to a lease request."""

    v: Literal[1] = Field(1, description="version of the protocol")
    type: Literal["lease"] = Field("lease", description="type of the reply")
    id: RequestIdent
    refused: str = Field(
        "", max_length=200, description="why the lease is refused; empty: it is not"
    )
    signed: str = Field(
        "", max_length=MOST_MESSAGE_BYTES, description="base64 of a signed document, Lease below"
    )


@dataclass(frozen=True, slots=True)
class LeasedRedemption:
    """A redemption that the platform knows of, in its present state."""

    cti: bytes
    dev: str
    use_no: int
    epoch: str
    seq: int
    units: int
    amount_minor: int | None
    ts: int
    id: str  # of the event that first reported it
    expires_s: int | None = None  # of the code, where it is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """``holder`` has authority over ``site`` until ``until_s``, in its ``term``."""

    site: str
    holder: str
    term: int
    until_s: int
    uses: tuple[LeasedRedemption, ...] = ()
    streams: tuple[tuple[str, str, int], ...] = ()  # device, epoch, received through
    next: str = ""  # where the next page of uses begins; empty: this was the last


def use_bytes(use: LeasedRedemption) -> int:
    """Return the most bytes that a redemption takes in a page."""
    return 17 + 7 * 9 + 3 * 3 + len(use.dev) + len(use.epoch) + len(use.id)


def _write_uses(uses: tuple[LeasedRedemption, ...]) -> Item:
    return [
        [
            u.cti,
            u.dev,
            u.use_no,
            u.epoch,
            u.seq,
            u.units,
            u.amount_minor,
            u.ts,
            u.id,
            u.expires_s,
        ]
        for u in uses
    ]


def _read_uses(signed: CborMap, label: int, name: str) -> tuple[LeasedRedemption, ...]:
    return tuple(_use(item) for item in fields.array(signed, label, name))


def _use(item: Item) -> LeasedRedemption:
    row = fields.row(item, "redemption", 10)
    return LeasedRedemption(
        cti=fields.octets(row, 0, "cti"),
        dev=fields.text(row, 1, "device"),
        use_no=_number(row, 2, "use"),
        epoch=fields.text(row, 3, "epoch"),
        seq=_number(row, 4, "seq"),
        units=_number(row, 5, "units"),
        amount_minor=None if row[6] is None else _number(row, 6, "amount"),
        ts=_number(row, 7, "time"),
        id=fields.text(row, 8, "event"),
        expires_s=None if row[9] is None else _number(row, 9, "expiry"),
    )


def _write_streams(streams: tuple[tuple[str, str, int], ...]) -> Item:
    return [list(stream) for stream in streams]


def _read_streams(signed: CborMap, label: int, name: str) -> tuple[tuple[str, str, int], ...]:
    rows = (fields.row(item, "stream", 3) for item in fields.array(signed, label, name))
    return tuple(
        (fields.text(row, 0, "device"), fields.text(row, 1, "epoch"), _number(row, 2, "seq"))
        for row in rows
    )


def _number(row: CborMap, position: int, name: str) -> int:
    return fields.integer(row, position, name, 0, _END)


LEASE: Final = DocumentType(
    name="lease",
    purpose=Purpose.GRANT,
    content=Lease,
    fields=(
        text(20, "site"),
        text(21, "holder"),
        integer(22, "term", 0, _END),
        integer(23, "until_s", 0, _END),
        DocumentField(24, "uses", _read_uses, _write_uses),
        DocumentField(25, "streams", _read_streams, _write_streams),
        free_text(26, "next", longest=200),
    ),
)
