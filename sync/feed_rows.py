"""The rows of a page of orders, looked at column by column: field by field costs more than everything else. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from edge.entitlement import OrderStatus
from edge.order_row import Row
from edge.token.cbor import Item
from sync.wire import MAX_SEQ

TIME_END: Final = 2**33  # Unix seconds
_END: Final = MAX_SEQ + 1
_STATUSES: Final = frozenset(status.value for status in OrderStatus)


@dataclass(frozen=True, slots=True)
class Column:
    """One field of every row."""

    name: str
    what: str  # it must be
    fits: Callable[[Sequence[Item]], bool]  # of some rows' fields, at least one
    size: Callable[[Sequence[Item]], int]  # of fields that fit: bytes of their shortest CBOR


def check_rows(items: list[Item]) -> list[Row]:
    """Return ``items``, which are rows. Raises ValueError that names the first field that is wrong."""
    if not items:
        return items
    if not set(map(type, items)) <= {list, tuple} or set(map(len, items)) != {len(COLUMNS)}:
        raise ValueError(f"a row is not an array of {len(COLUMNS)} fields")
    for column, fields in zip(COLUMNS, zip(*items, strict=True), strict=True):
        if not column.fits(fields):
            row = next(number for number, field in enumerate(fields) if not column.fits((field,)))
            raise ValueError(f"{column.name} of row {row} is not {column.what}")
    return items


def rows_size(rows: Sequence[Row]) -> int:
    """How many bytes the shortest CBOR of ``rows`` has. Only of rows that ``check_rows`` lets pass is it the number."""
    columns = zip(COLUMNS, zip(*rows, strict=True), strict=True) if rows else ()
    return len(rows) + sum(column.size(fields) for column, fields in columns)


def _texts(fields: Sequence[Item]) -> bool:
    return set(map(type, fields)) == {str}


def _text_size(fields: Iterable[str]) -> int:
    texts = list(fields)
    lengths = list(map(len, texts))
    whole = len("".join(texts).encode())
    if whole != sum(lengths):  # not all ASCII
        lengths = [len(text.encode()) for text in texts]
    return whole + _integer_size(lengths)


def _optional_texts(fields: Sequence[Item]) -> bool:
    return set(map(type, fields)) <= {str, type(None)}


def _optional_text_size(fields: Sequence[Item]) -> int:
    known = [field for field in fields if field is not None]
    return len(fields) - len(known) + _text_size(known)


def _integer_size(fields: Sequence[int]) -> int:
    """Of unsigned integers, and of heads with these arguments: mostly all of one width, else few different ones."""
    if not fields:
        return 0
    if (widest := _head_size(max(fields))) == _head_size(min(fields)):
        return widest * len(fields)
    return sum(_head_size(number) * count for number, count in Counter(fields).items())


def _head_size(number: int) -> int:
    """RFC 8949 section 3: in the first byte, or in 1, 2, 4 or 8 after it."""
    return 1 if number < 24 else 2 if number < 2**8 else 3 if number < 2**16 else 5 if number < 2**32 else 9


def _integers(least: int, end: int) -> Callable[[Sequence[Item]], bool]:
    def fit(fields: Sequence[Item]) -> bool:  # a bool is not an integer here
        return set(map(type, fields)) == {int} and least <= min(fields) and max(fields) < end

    return fit


def _amounts(fields: Sequence[Item]) -> bool:
    known = [field for field in fields if field is not None]
    return not known or _integers(0, _END)(known)


def _amount_size(fields: Sequence[Item]) -> int:
    known = [field for field in fields if field is not None]
    return len(fields) - len(known) + _integer_size(known)


def _identities(fields: Sequence[Item]) -> bool:
    return set(map(type, fields)) == {bytes} and set(map(len, fields)) == {16}


def _statuses(fields: Sequence[Item]) -> bool:
    return _texts(fields) and _STATUSES.issuperset(fields)


def _booleans(fields: Sequence[Item]) -> bool:
    return set(map(type, fields)) == {bool}


def _lists_of_texts(fields: Sequence[Item]) -> bool:
    return set(map(type, fields)) <= {list, tuple} and set(map(type, chain.from_iterable(fields))) <= {str}


def _list_size(fields: Sequence[Item]) -> int:
    return _integer_size(list(map(len, fields))) + _text_size(chain.from_iterable(fields))


def _integer(name: str, least: int, end: int) -> Column:
    return Column(name, f"an integer from {least} to {end - 1}", _integers(least, end), _integer_size)


def _optional_text(name: str) -> Column:
    return Column(name, "a text or null", _optional_texts, _optional_text_size)


COLUMNS: Final = (
    Column("cti", "16 bytes", _identities, lambda fields: 17 * len(fields)),
    Column("order", "a text", _texts, _text_size),
    _integer("kind", 1, 4),
    _optional_text("home device"),
    Column("status", f"one of {', '.join(sorted(_STATUSES))}", _statuses, _text_size),
    _integer("quantity", 1, 2**31),
    Column("amount", f"an integer from 0 to {_END - 1} or null", _amounts, _amount_size),
    _optional_text("currency"),
    _integer("not before", 0, TIME_END),
    _integer("expires", 0, TIME_END),
    Column("review", "a boolean", _booleans, len),
    Column("compartments", "an array of texts", _lists_of_texts, _list_size),
    _optional_text("subject"),
    _optional_text("campaign"),
    _optional_text("rules"),
)
