"""Deterministic CBOR (RFC 8949 section 4.2.1), strict: one value has one encoding.

The reader accepts integers, byte and text strings, arrays, maps and booleans (null where
``CborLimits`` says so); everything else and every second spelling is refused by name. cbor2
accepts most of those spellings, hence a reader of our own. Writing is cbor2's work, after
the keys are put in order: its own canonical mode sorts by length first (RFC 7049).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NoReturn

import cbor2

from edge.token.rejection import InputRefused, Rejection

Item = Any  # int, bytes, str, bool, None, list[Item] or dict[int | bytes | str, Item]

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(
    8
)  # major types, RFC 8949 section 3.1
_TRUNCATED: Final = "the data end inside an item"


@dataclass(frozen=True, slots=True)
class CborLimits:
    """How large an item may be, and what is lenient."""

    depth: int  # nested arrays and maps
    entries: int  # of one array or map
    text: int  # bytes of one text string
    null: bool = False  # null is a value
    any_order: bool = False  # map keys in any order; a duplicate is refused all the same


TOKEN_LIMITS: Final = CborLimits(depth=3, entries=16, text=40)
DOCUMENT_LIMITS: Final = CborLimits(depth=12, entries=1_000_000, text=1_000_000, null=True)


def decode(data: bytes, limits: CborLimits) -> Item:
    """Return the one item in ``data``. Raises InputRefused: ``cbor_*`` or ``too_long``.

    >>> decode(bytes.fromhex("a201020304"), TOKEN_LIMITS)
    {1: 2, 3: 4}
    """
    item, end = read(data, 0, limits)
    if end != len(data):
        raise InputRefused(Rejection.CBOR_TRAILING, f"{len(data) - end} bytes after the item")
    return item


def read(data: bytes, at: int, limits: CborLimits) -> tuple[Item, int]:
    """Return the item that starts at ``at`` and where it ends."""
    try:
        return _item(data, at, limits.depth, limits)
    except IndexError:
        raise InputRefused(Rejection.CBOR_TRUNCATED, _TRUNCATED) from None


def head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return an item's major type (but 7), its argument, and the offset of its content."""
    if at >= len(data):
        raise InputRefused(Rejection.CBOR_TRUNCATED, _TRUNCATED)
    first = data[at]
    info = first & 0x1F
    if info < 24:
        return first >> 5, info, at + 1
    if info > 27:
        _refuse_info(info)
    end = at + 1 + (1 << (info - 24))
    if end > len(data):
        raise InputRefused(Rejection.CBOR_TRUNCATED, _TRUNCATED)
    argument = int.from_bytes(data[at + 1 : end], "big")
    if argument < _SMALLEST[info]:
        raise InputRefused(
            Rejection.CBOR_NOT_SHORTEST, "a number or length is not in its shortest form"
        )
    return first >> 5, argument, end


_SMALLEST: Final = {
    24: 24,
    25: 1 << 8,
    26: 1 << 16,
    27: 1 << 32,
}  # of an argument of 1, 2, 4 and 8 bytes


def _refuse_info(info: int) -> NoReturn:
    if info == 31:
        raise InputRefused(Rejection.CBOR_INDEFINITE, "an item has no definite length")
    raise InputRefused(Rejection.CBOR_TYPE, f"additional information {info} is reserved")


def _item(data: bytes, at: int, depth: int, limits: CborLimits) -> tuple[Item, int]:
    first = data[at]
    if first < 24:  # the commonest items by far: small labels and values
        return first, at + 1
    if first >= 0xE0:
        return _simple(first, limits), at + 1
    major, argument = first >> 5, first & 0x1F
    if argument < 24:
        at += 1
    else:
        major, argument, at = head(data, at)
    if major == TEXT:
        return _text(data, at, argument, limits), at + argument
    if major == BYTES:
        if at + argument > len(data):
            raise InputRefused(Rejection.CBOR_TRUNCATED, _TRUNCATED)
        return data[at : at + argument], at + argument
    if major == UNSIGNED:
        return argument, at
    if major == NEGATIVE:
        return -1 - argument, at
    if major == TAG:
        raise InputRefused(Rejection.CBOR_TYPE, f"tag {argument} is not allowed here")
    if not depth:
        raise InputRefused(Rejection.CBOR_DEPTH, "arrays and maps are nested too deeply")
    if argument > limits.entries:
        raise InputRefused(
            Rejection.TOO_LONG, f"an array or map has more than {limits.entries} entries"
        )
    return (_map if major == MAP else _array)(data, at, argument, depth - 1, limits)


def _array(data: bytes, at: int, count: int, depth: int, limits: CborLimits) -> tuple[Item, int]:
    items = []
    for _ in range(count):
        item, at = _item(data, at, depth, limits)
        items.append(item)
    return items, at


def _map(data: bytes, at: int, count: int, depth: int, limits: CborLimits) -> tuple[Item, int]:
    entries: dict[Item, Item] = {}
    previous = b""
    key: Item
    for _ in range(count):
        start = at
        if data[at] < 24:
            key, at = data[at], at + 1
        else:
            key, at = _key(data, at, limits)
        encoded = data[start:at]
        if key in entries if limits.any_order else encoded <= previous:
            raise InputRefused(
                Rejection.CBOR_KEY_ORDER_OR_DUPLICATE,
                f"map key {key!r:.50} is out of order or repeated",
            )
        previous = encoded
        if data[at] < 24:
            entries[key], at = data[at], at + 1
        else:
            entries[key], at = _item(data, at, depth, limits)
    return entries, at


def _key(data: bytes, at: int, limits: CborLimits) -> tuple[int | bytes | str, int]:
    if data[at] >= 0x80:  # arrays and maps cannot be looked up; True would be the same key as 1
        raise InputRefused(Rejection.CBOR_TYPE, "a map key is neither an integer nor a string")
    return _item(data, at, 0, limits)


def _text(data: bytes, at: int, length: int, limits: CborLimits) -> str:
    if length > limits.text:
        raise InputRefused(Rejection.TOO_LONG, f"a text is longer than {limits.text} bytes")
    if at + length > len(data):
        raise InputRefused(Rejection.CBOR_TRUNCATED, _TRUNCATED)
    try:
        return data[at : at + length].decode()
    except UnicodeDecodeError:
        raise InputRefused(Rejection.CBOR_UTF8, "a text is not UTF-8") from None


def _simple(first: int, limits: CborLimits) -> bool | None:
    if first == 0xF4 or first == 0xF5:  # noqa: PLR1714 - as above
        return first == 0xF5
    if first == 0xF6 and limits.null:
        return None
    if first == 0xFF:
        raise InputRefused(
            Rejection.CBOR_INDEFINITE, "a break outside an item of indefinite length"
        )
    raise InputRefused(
        Rejection.CBOR_TYPE, f"floats, null and other simple values are not allowed (0x{first:02x})"
    )


def encode(item: Item) -> bytes:
    """Return the deterministic encoding of ``item``. Raises TypeError for what ``decode`` refuses.

    >>> encode({10: 1, -1: 2, "a": 3}).hex()
    'a30a012002616103'
    """
    return cbor2.dumps(_ordered(item))


def _ordered(item: Item) -> Item:
    if item is None or isinstance(item, bool | bytes):
        return item
    if isinstance(item, int):
        if not -(2**64) <= item < 2**64:
            raise TypeError(f"{item} does not fit a CBOR integer")
        return int(item)
    if isinstance(item, str):
        return str(item)
    if isinstance(item, list | tuple):
        return [_ordered(each) for each in item]
    if isinstance(item, dict):
        pairs = sorted((encode(_proper_key(key)), key, value) for key, value in item.items())
        return {_ordered(key): _ordered(value) for _, key, value in pairs}
    raise TypeError(f"{type(item).__name__} has no place in our CBOR")


def _proper_key(key: Item) -> Item:
    if isinstance(key, bool) or not isinstance(key, int | str | bytes):
        raise TypeError(f"{key!r} cannot be a map key")
    return key
