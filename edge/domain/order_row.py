"""An entitlement as a row of the order feed, and the digest that both ends keep of a feed. Pure.

A row is ``[cti, order, kind, home device, status, quantity, amount, currency, not before, expires,
review, compartments, subject, campaign, rules]``. Its page names its site and revision. The digest
of a feed is the XOR of the SHA-256 of its rows' encodings: rows can come and go in any order.
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
    """Return an entitlement as a row. Its page carries the site and the revision."""
    return [
        e.cti,
        e.order_id,
        int(e.kind),
        e.home_device,
        e.status.value,
        e.quantity,
        e.amount_minor,
        e.currency,
        e.not_before_s,
        e.expires_at_s,
        e.review,
        list(e.compartments),
        e.subject,
        e.campaign,
        e.rules,
    ]


def row_digest(row: Row) -> bytes:
    """Return the SHA-256 that a row adds to, or removes from, the digest of its feed."""
    return sha256(dumps(row)).digest()  # without maps, cbor2 encodes deterministically


def row_numbers(rows: Iterable[Row]) -> dict[bytes, int]:
    """Return the digests of many rows as integers, by cti."""
    return {row[0]: int.from_bytes(sha256(dumps(row)).digest(), "big") for row in rows}


def xor(left: bytes, right: bytes) -> bytes:
    """Add a row's digest to that of a feed, or remove it again."""
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(32, "big")
