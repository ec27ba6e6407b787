"""An entitlement as a row of the order feed, and the digest that both ends keep of a feed. Pure.

A row is ``[cti, order, kind, home device, status, quantity, amount, currency, not before, expires,
review, compartments, subject, campaign, rules]``; its site and its revision are its page's. The digest of a feed
is the XOR of the SHA-256 of its rows' encodings, so that it can be kept as rows come and go, in any order.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from cbor2 import dumps

from edge.domain.entitlement import Entitlement
from edge.token.cbor import Item

Row = list[Item]
EMPTY_DIGEST: Final = bytes(32)


def row_of(e: Entitlement) -> Row:
    """An entitlement as a row. Its site and its revision are the page's."""
    return [
        e.cti, e.order_id, int(e.kind), e.home_device, e.status.value, e.quantity, e.amount_minor, e.currency,
        e.not_before_s, e.expires_at_s, e.review, list(e.compartments), e.subject, e.campaign, e.rules,
    ]  # fmt: skip


def row_digest(row: Row) -> bytes:
    """What a row adds to, or takes from, the digest of its feed."""
    return sha256(dumps(row)).digest()  # no map in it: cbor2's encoding is the deterministic one


def row_numbers(rows: Iterable[Row]) -> dict[bytes, int]:
    """The digests of many rows as numbers, by cti."""
    return {row[0]: int.from_bytes(sha256(dumps(row)).digest(), "big") for row in rows}


def xor(left: bytes, right: bytes) -> bytes:
    """Add a row's digest to a feed's, or take it out again."""
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(32, "big")
