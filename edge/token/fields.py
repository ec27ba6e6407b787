"""Readers of the fields of a decoded map: each is present, of its type, within its range."""

from __future__ import annotations

from typing import Final

from edge.token.cbor import Item
from edge.token.rejection import InputRefused, Rejection

TIME_END: Final = 2**33  # times are Unix seconds, 0 <= t < 2**33


def required(fields: dict[Item, Item], label: int | str, name: str) -> Item:
    """Return the field. Raises InputRefused ``claim_missing``."""
    if label not in fields:
        raise InputRefused(Rejection.CLAIM_MISSING, f"{name} is missing")
    return fields[label]


def integer(fields: dict[Item, Item], label: int | str, name: str, least: int, end: int) -> int:
    """Return the field if it is an int with ``least <= value < end``. Raises InputRefused.

    A bool is not an int here.
    """
    value = fields.get(label)
    if type(value) is not int:
        required(fields, label, name)
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not an integer")
    if not least <= value < end:
        raise InputRefused(Rejection.CLAIM_RANGE, f"{name} is outside {least}..{end - 1}")
    return value


def text(fields: dict[Item, Item], label: int | str, name: str) -> str:
    """Return the field if it is a text of printable characters, not empty. Raises InputRefused."""
    value = fields.get(label)
    if type(value) is not str:
        required(fields, label, name)
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not a text")
    if not value or not value.isprintable():
        raise InputRefused(Rejection.CLAIM_RANGE, f"{name} is empty or not printable")
    return value


def boolean(fields: dict[Item, Item], label: int | str, name: str) -> bool:
    """Return the field if it is true or false. Raises InputRefused."""
    value = fields.get(label)
    if type(value) is not bool:
        required(fields, label, name)
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not a boolean")
    return value


def octets(
    fields: dict[Item, Item], label: int | str, name: str, length: int | None = None
) -> bytes:
    """Return the field if it is a byte string, of ``length`` bytes. Raises InputRefused."""
    value = fields.get(label)
    if type(value) is not bytes:
        required(fields, label, name)
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not a byte string")
    if length is not None and len(value) != length:
        raise InputRefused(Rejection.CLAIM_RANGE, f"{name} is not {length} bytes")
    return value


def array(fields: dict[Item, Item], label: int | str, name: str) -> list[Item]:
    """Return the field if it is an array. Raises InputRefused."""
    value = fields.get(label)
    if type(value) is not list:
        required(fields, label, name)
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not an array")
    return value


def texts(fields: dict[Item, Item], label: int | str, name: str) -> frozenset[str]:
    """Return the field if it is an array of texts as ``text`` has them. Raises InputRefused."""
    return frozenset(text({0: item}, 0, name) for item in array(fields, label, name))


def integers(
    fields: dict[Item, Item], label: int | str, name: str, least: int, end: int
) -> frozenset[int]:
    """Return the field if it is an array of integers in range. Raises InputRefused."""
    return frozenset(integer({0: item}, 0, name, least, end) for item in array(fields, label, name))


def row(item: Item, name: str, length: int) -> dict[Item, Item]:
    """Return the ``length`` items of an array by their position. Raises InputRefused."""
    if type(item) is not list or len(item) != length:
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not an array of {length} items")
    return dict(enumerate(item))


def mapping(value: Item, name: str, labels: frozenset[int] | frozenset[str]) -> dict[Item, Item]:
    """Return ``value`` if it is a map that has none but ``labels``. Raises InputRefused."""
    if type(value) is not dict:
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not a map")
    if not value.keys() <= labels:
        strangers = sorted(repr(key)[:20] for key in value.keys() - labels)
        raise InputRefused(
            Rejection.CLAIM_TYPE, f"{name} holds unknown keys: {', '.join(strangers):.80}"
        )
    return value
