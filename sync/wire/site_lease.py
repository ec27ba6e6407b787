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

from edge.token.cbor import Item
from sync.wire.messages import Count, Ident, MessageFault, MessageRefusal, Name, WireModel

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
    """Read a lease whose signature held."""
    if not isinstance(payload, dict) or payload.keys() != _LABELS:
        return MessageRefusal(MessageFault.WRONG_SHAPE, "not a map of the labels of a lease")
    try:
        return Lease(
            site=_text(payload[_SITE]),
            holder=_text(payload[_HOLDER]),
            term=_number(payload[_TERM]),
            until_s=_number(payload[_UNTIL]),
            uses=tuple(_use(item) for item in payload[_USES]),
            streams=tuple(
                (_text(dev), _text(epoch), _number(seq)) for dev, epoch, seq in payload[_STREAMS]
            ),
            next=_octets(payload[_NEXT]),
        )
    except (TypeError, ValueError) as error:
        return MessageRefusal(MessageFault.WRONG_SHAPE, str(error))


def _use(item: Item) -> LeasedRedemption:
    cti, dev, use_no, epoch, seq, units, amount, ts, event_id = item
    minor = None if amount is None else _number(amount)
    return LeasedRedemption(
        _octets(cti), _text(dev), _number(use_no), _text(epoch), _number(seq), _number(units), minor, _number(ts),
        _text(event_id),
    )  # fmt: skip


def _text(item: Item) -> str:
    if type(item) is not str:
        raise ValueError("not a text")
    return item


def _number(item: Item) -> int:
    if type(item) is not int or item < 0:
        raise ValueError("not a number")
    return item


def _octets(item: Item) -> bytes:
    if type(item) is not bytes:
        raise ValueError("not bytes")
    return item
