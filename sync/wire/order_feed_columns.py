"""The rows of a page of orders, checked column by column. Pure.

Checking field by field would cost more than all other steps together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from edge.domain.entitlement import OrderStatus
from edge.token.cbor import Item
from sync.wire.messages import MAX_SEQ

TIME_END: Final = 2**33  # Unix seconds
_END: Final = MAX_SEQ + 1
_STATUSES: Final = frozenset(status.value for status in OrderStatus)


@dataclass(frozen=True, slots=True)
class Column:
    """One field of every row."""

    name: str
    expected: str  # it must be
    size: Callable[
        [Sequence[Item]], int | None
    ]  # bytes of the shortest CBOR of some rows' fields; None: not what


def rows_size(items: list[Item]) -> int:
    """Return how many bytes the shortest CBOR of the rows has.

    Raises ValueError that names a wrong field.
    """
    if not items:
        return 0
    if set(map(type, items)) != {list} or set(map(len, items)) != {len(COLUMNS)}:
        raise ValueError(f"a row is not an array of {len(COLUMNS)} fields")
    total = len(items)
    for column, fields in zip(COLUMNS, zip(*items, strict=True), strict=True):
        size = column.size(fields)
        if size is None:
            row = next(
                number for number, field in enumerate(fields) if column.size((field,)) is None
            )
            raise ValueError(f"{column.name} of row {row} is not {column.expected}")
        total += size
    return total


def _texts(fields: Sequence[Item]) -> int | None:
    if set(map(type, fields)) != {str}:
        return None if fields else 0
    lengths = list(map(len, fields))
    whole = len("".join(fields).encode())
    if whole != sum(lengths):  # not all ASCII
        lengths = [len(text.encode()) for text in fields]
    return whole + _heads(lengths)


def _optional_texts(fields: Sequence[Item]) -> int | None:
    known = [field for field in fields if field is not None]
    size = _texts(known)
    return None if size is None else len(fields) - len(known) + size


def _integers(least: int, end: int) -> Callable[[Sequence[Item]], int | None]:
    def size(fields: Sequence[Item]) -> int | None:
        if set(map(type, fields)) != {int}:  # a bool is not an integer here
            return None
        return _heads(fields) if least <= min(fields) and max(fields) < end else None

    return size


def _heads(numbers: Sequence[int]) -> int:
    """Return the size of unsigned integers, or of heads with these arguments.

    Mostly all are of one width, otherwise of few different ones.
    """
    if not numbers:
        return 0
    if (widest := _head(max(numbers))) == _head(min(numbers)):
        return widest * len(numbers)
    return sum(_head(number) * count for number, count in Counter(numbers).items())


def _head(number: int) -> int:
    """Return the size of a head: one byte and 0, 1, 2, 4 or 8 after it (RFC 8949 section 3)."""
    return (
        1
        if number < 24
        else 2
        if number < 2**8
        else 3
        if number < 2**16
        else 5
        if number < 2**32
        else 9
    )


def _amounts(fields: Sequence[Item]) -> int | None:
    known = [field for field in fields if field is not None]
    size = _integers(0, _END)(known) if known else 0
    return None if size is None else len(fields) - len(known) + size


def _identities(fields: Sequence[Item]) -> int | None:
    right = set(map(type, fields)) == {bytes} and set(map(len, fields)) == {16}
    return 17 * len(fields) if right else None


def _statuses(fields: Sequence[Item]) -> int | None:
    size = _texts(fields)
    return size if size is not None and _STATUSES.issuperset(fields) else None


def _booleans(fields: Sequence[Item]) -> int | None:
    return len(fields) if set(map(type, fields)) == {bool} else None


def _lists_of_texts(fields: Sequence[Item]) -> int | None:
    if set(map(type, fields)) != {list}:
        return None
    size = _texts(list(chain.from_iterable(fields)))
    return None if size is None else size + _heads(list(map(len, fields)))


def _integer(name: str, least: int, end: int) -> Column:
    return Column(name, f"an integer from {least} to {end - 1}", _integers(least, end))


def _optional_text(name: str) -> Column:
    return Column(name, "a text or null", _optional_texts)


COLUMNS: Final = (
    Column("cti", "16 bytes", _identities),
    Column("order", "a text", _texts),
    _integer("kind", 1, 4),
    _optional_text("home device"),
    Column("status", f"one of {', '.join(sorted(_STATUSES))}", _statuses),
    _integer("quantity", 1, 2**31),
    Column("amount", f"an integer from 0 to {_END - 1} or null", _amounts),
    _optional_text("currency"),
    _integer("not before", 0, TIME_END),
    _integer("expires", 0, TIME_END),
    Column("review", "a boolean", _booleans),
    Column("compartments", "an array of texts", _lists_of_texts),
    _optional_text("subject"),
    _optional_text("campaign"),
    _optional_text("rules"),
)
