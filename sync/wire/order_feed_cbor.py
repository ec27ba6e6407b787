"""A reader of the CBOR of order pages, as strict as ``cbor.decode`` and many times faster. Pure.

cbor2 reads it, and refuses tags and items without a length. The one freedom that is left is the
width of a head. A head wider than necessary shows in the length, which is compared with the one
that the columns give.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NoReturn

import cbor2

from edge.domain.order_row import Row
from edge.token import cbor
from edge.token.cbor import Item
from sync.wire.order_feed_columns import COLUMNS, rows_size

ROWS: Final = 4  # the label of the rows, as a page of orders has it
_ROW_START: Final = bytes(
    [0x80 + len(COLUMNS), 0x50]
)  # an array, and in it first a cti of 16 bytes
# Tags that stand for a plain value: of all others cbor2 makes what no column lets pass.
_PLAIN_TAGS: Final = (2, 3, 25, 28, 29, 256, 55799)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A page's item, of which ``sync.wire.order_feed.read_page`` makes a page."""

    item: Item
    digests: dict[bytes, int] = field(
        default_factory=dict
    )  # of the rows, as ``row_numbers``; empty: not known
    rows_checked: bool = False  # the rows are rows (``rows_size``)


def decode_page(data: bytes, limits: cbor.CborLimits) -> Decoded:
    """Return the item of a signed page. Raises Refused, as ``cbor.decode``."""
    try:
        item = cbor2.loads(
            data, allow_indefinite=False, allow_duplicate_keys=False, semantic_decoders=_NO_TAGS
        )
        body = _rows_of(data, item)
    except Exception:  # noqa: BLE001 - of many kinds; the strict reader names what is wrong
        body = None
    if body is None:
        return Decoded(cbor.decode(data, limits))
    return Decoded(item, _digests(body, item[ROWS]), rows_checked=True)


def _rows_of(data: bytes, item: Item) -> bytes | None:
    """Return the encoded rows of ``item``; None unless ``data`` is its one encoding of orders."""
    rows, labels = item[ROWS], list(item)
    if not all(type(label) is int and 0 < label < 24 for label in labels) or labels != sorted(
        labels
    ):
        return None
    before = cbor2.dumps({label: item[label] for label in labels if label < ROWS})
    after = cbor2.dumps({label: item[label] for label in labels if label > ROWS})[1:]
    count = cbor2.dumps(len(rows))
    start = bytes([0xA0 + len(labels)]) + before[1:] + bytes([ROWS, count[0] | 0x80]) + count[1:]
    if not data.startswith(start) or not data.endswith(after):
        return None
    body = data[len(start) : len(data) - len(after)]
    return body if len(body) == rows_size(rows) else None


def _digests(body: bytes, rows: list[Row]) -> dict[bytes, int]:
    """Each row begins with the same two bytes: where they come nowhere else, they part the rows."""
    _, *ends = body.split(_ROW_START)
    if len(ends) != len(rows):
        return {}
    numbers = [int.from_bytes(sha256(_ROW_START + end).digest(), "big") for end in ends]
    return dict(zip((row[0] for row in rows), numbers, strict=True))


def _refuse(*_: object) -> NoReturn:
    raise ValueError("a tag")


_NO_TAGS: Final = dict.fromkeys(_PLAIN_TAGS, _refuse)
