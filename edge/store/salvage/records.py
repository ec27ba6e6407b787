"""SQLite's record format: the values of one row, as they lie in a page. Pure.

Source: https://www.sqlite.org/fileformat2.html, sections 1.6 (varints) and 2.1 (records). The
format is frozen: SQLite promises to read its files until 2050.
"""

from __future__ import annotations

import struct
from typing import Final

Value = int | float | str | bytes | None

_INTEGER_SIZES: Final = (0, 1, 2, 3, 4, 6, 8)  # by serial type, 1 to 6
_FIRST_BLOB: Final = 12  # serial types from here on: even a blob, odd a text


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the varint at ``at`` and where it ends. Raises IndexError where the data end.

    >>> read_varint(bytes([0x81, 0x00]), 0)
    (128, 2)
    """
    value = 0
    for place in range(at, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def read_rowid(data: bytes, at: int) -> tuple[int, int]:
    """Return the signed rowid at ``at`` and where it ends. Raises IndexError."""
    value, after = read_varint(data, at)
    return (value - 2**64 if value >= 2**63 else value), after


def read_record(payload: bytes) -> list[Value]:
    """Return the values of a record, up to the end of ``payload``.

    A payload whose rest was lost gives the values that are whole. Raises ValueError and IndexError
    for what is no record.
    """
    header_size, at = read_varint(payload, 0)
    if not at <= header_size <= len(payload):
        raise ValueError("the header of the record is cut off")
    types = []
    while at < header_size:
        kind, at = read_varint(payload, at)
        types.append(kind)
    if at != header_size:
        raise ValueError("the header of the record is longer than it says")
    values: list[Value] = []
    for kind in types:
        size = _size(kind)
        if at + size > len(payload):
            break
        values.append(_value(kind, payload[at : at + size]))
        at += size
    return values


def _size(kind: int) -> int:
    if kind >= _FIRST_BLOB:
        return (kind - _FIRST_BLOB) // 2
    if kind in (10, 11):
        raise ValueError("a serial type that SQLite never writes")
    return 8 if kind == 7 else 0 if kind in (8, 9) else _INTEGER_SIZES[kind]


def _value(kind: int, data: bytes) -> Value:
    if kind >= _FIRST_BLOB:
        return data.decode() if kind % 2 else data
    if kind == 0:
        return None
    if kind == 7:
        return float(struct.unpack(">d", data)[0])
    if kind in (8, 9):
        return kind - 8
    return int.from_bytes(data, "big", signed=True)
