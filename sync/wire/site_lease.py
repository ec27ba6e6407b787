"""How a site's authority comes by its authority: a lease from the platform, asked for and signed. Pure.

The authority asks (``LeaseRequest``, JSON on its ``up/req``); the platform answers (``LeaseReply`` on ``dn/res``)
with a signed document of purpose ``claim``. ``{20: site, 21: holder, 22: term, 23: until, 24: uses, 25: streams,
26: next}``: with ``catch_up``, what devices honoured so far comes along, some entitlements at a time, and how far
the platform had heard each device when the first of these pages was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from edge.token import fields
from edge.token.cbor import Item
from edge.token.rejection import InputRefused
from sync.wire.messages import MAX_SEQ, Count, Ident, MessageFault, MessageRefusal, Name, WireModel

USES_CTIS: Final = 200  # entitlements a page
_SITE, _HOLDER, _TERM, _UNTIL, _USES, _STREAMS, _NEXT = range(20, 27)
_LABELS: Final = frozenset(range(20, 27))


class LeaseRequest(WireModel):
    """Ask for, or for more of, the authority over a site's entitlements. ``term``: of the lease that is held, or 0."""

    v: Literal[1] = 1
    type: Literal["lease"] = "lease"
    id: Ident
    site: Name
    term: Count = 0
    catch_up: bool = False
    after: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = (
        ""  # the entitlement that the last page ended with
    )


class LeaseReply(WireModel):
    """The platform's answer; ``signed`` is base64, and empty where the lease is refused."""

    v: Literal[1] = 1
    type: Literal["lease"] = "lease"
    id: Ident
    refused: Annotated[str, Field(max_length=200)] = ""
    signed: Annotated[str, Field(max_length=200_000)] = ""


@dataclass(frozen=True, slots=True)
class LeasedRedemption:
    """A redemption that the platform knows of, as it stands."""

    cti: bytes
    dev: str
    use_no: int
    epoch: str
    seq: int
    units: int
    amount_minor: int | None
    ts: int
    id: str  # of the event that first reported it


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """``holder`` has authority over ``site`` until ``until_s``, in its ``term``."""

    site: str
    holder: str
    term: int
    until_s: int
    uses: tuple[LeasedRedemption, ...] = ()
    streams: tuple[tuple[str, str, int], ...] = ()  # device, epoch, heard through
    next: bytes = b""  # where the next page of uses begins; empty: this was the last


def lease_payload(lease: Lease) -> Item:
    """The CBOR item to sign."""
    return {
        _SITE: lease.site,
        _HOLDER: lease.holder,
        _TERM: lease.term,
        _UNTIL: lease.until_s,
        _USES: [
            [u.cti, u.dev, u.use_no, u.epoch, u.seq, u.units, u.amount_minor, u.ts, u.id]
            for u in lease.uses
        ],
        _STREAMS: [list(stream) for stream in lease.streams],
        _NEXT: lease.next,
    }


def read_lease(payload: Item) -> Lease | MessageRefusal:
    """Return the lease in a map whose signature held."""
    try:
        signed = fields.mapping(payload, "lease", _LABELS)
        return Lease(
            site=fields.text(signed, _SITE, "site"),
            holder=fields.text(signed, _HOLDER, "holder"),
            term=_number(signed, _TERM, "term"),
            until_s=_number(signed, _UNTIL, "until"),
            uses=tuple(_redemption(item) for item in fields.array(signed, _USES, "redemptions")),
            streams=tuple(_stream(item) for item in fields.array(signed, _STREAMS, "streams")),
            next=fields.octets(signed, _NEXT, "next"),
        )
    except InputRefused as refused:
        return MessageRefusal(MessageFault.WRONG_SHAPE, str(refused))


def _redemption(item: Item) -> LeasedRedemption:
    row = fields.row(item, "redemption", 9)
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
    )


def _stream(item: Item) -> tuple[str, str, int]:
    row = fields.row(item, "stream", 3)
    return fields.text(row, 0, "device"), fields.text(row, 1, "epoch"), _number(row, 2, "seq")


def _number(signed: dict[Item, Item], label: int, name: str) -> int:
    return fields.integer(signed, label, name, 0, MAX_SEQ + 1)
