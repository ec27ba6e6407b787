"""Reading the fields of a decoded map: present, of exactly the type, within range, and nothing else."""

from __future__ import annotations

from typing import Final

from edge.token.cbor import Item
from edge.token.rejection import InputRefused, Rejection

TIME_END: Final = 2**33  # times are Unix seconds, 0 <= t < 2**33


def required(fields: dict[Item, Item], label: int | str, name: str) -> Item:
    """Return the field. Raises Refused ``claim_missing``."""
    if label not in fields:
        raise InputRefused(Rejection.CLAIM_MISSING, f"{name} is missing")
    return fields[label]


def integer(fields: dict[Item, Item], label: int | str, name: str, least: int, end: int) -> int:
    """Return the field if it is an int (a bool is not) with ``least <= value < end``. Raises Refused."""
    value = fields.get(label)
    if type(value) is not int:
        required(fields, label, name)
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not an integer")
    if not least <= value < end:
        raise InputRefused(Rejection.CLAIM_RANGE, f"{name} is outside {least}..{end - 1}")
    return value


def text(fields: dict[Item, Item], label: int | str, name: str) -> str:
    """Return the field if it is a text of printable characters, not empty. Raises Refused."""
    value = fields.get(label)
    if type(value) is not str:
        required(fields, label, name)
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not a text")
    if not value or not value.isprintable():
        raise InputRefused(Rejection.CLAIM_RANGE, f"{name} is empty or not printable")
    return value


def octets(fields: dict[Item, Item], label: int | str, name: str) -> bytes:
    """Return the field if it is a byte string. Raises Refused."""
    value = fields.get(label)
    if type(value) is not bytes:
        required(fields, label, name)
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not a byte string")
    return value


def array(fields: dict[Item, Item], label: int | str, name: str) -> list[Item]:
    """Return the field if it is an array. Raises Refused."""
    value = fields.get(label)
    if type(value) is not list:
        required(fields, label, name)
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not an array")
    return value


def texts(fields: dict[Item, Item], label: int | str, name: str) -> frozenset[str]:
    """Return the field if it is an array of texts as ``text`` has them. Raises Refused."""
    return frozenset(text({0: item}, 0, name) for item in array(fields, label, name))


def integers(
    fields: dict[Item, Item], label: int | str, name: str, least: int, end: int
) -> frozenset[int]:
    """Return the field if it is an array of integers as ``integer`` has them. Raises Refused."""
    return frozenset(integer({0: item}, 0, name, least, end) for item in array(fields, label, name))


def mapping(value: Item, name: str, labels: frozenset[int] | frozenset[str]) -> dict[Item, Item]:
    """Return ``value`` if it is a map that has none but ``labels``. Raises Refused."""
    if type(value) is not dict:
        raise InputRefused(Rejection.CLAIM_TYPE, f"{name} is not a map")
    if not value.keys() <= labels:
        strangers = sorted(repr(key)[:20] for key in value.keys() - labels)
        raise InputRefused(
            Rejection.CLAIM_TYPE, f"{name} holds unknown keys: {', '.join(strangers):.80}"
        )
    return value
