"""Reading the fields of a decoded map: present, of exactly the type, within range, and nothing else."""

from __future__ import annotations

from typing import Final

from edge.token.cbor import Item
from edge.token.rejection import Refused, Rejection

TIME_END: Final = 2**33  # times are Unix seconds, 0 <= t < 2**33


def required(fields: dict[Item, Item], label: int | str, name: str) -> Item:
    """Return the field. Raises Refused ``claim_missing``."""
    value = fields.get(label)
    if value is None:
        raise Refused(Rejection.CLAIM_MISSING, f"{name} is missing")
    return value


def integer(value: Item, name: str, least: int, end: int) -> int:
    """Return ``value`` if it is an int (a bool is not) with ``least <= value < end``. Raises Refused."""
    if type(value) is not int:
        raise Refused(Rejection.CLAIM_TYPE, f"{name} is not an integer")
    if not least <= value < end:
        raise Refused(Rejection.CLAIM_RANGE, f"{name} is outside {least}..{end - 1}")
    return value


def text(value: Item, name: str) -> str:
    """Return ``value`` if it is a text of printable characters, not empty. Raises Refused."""
    if type(value) is not str:
        raise Refused(Rejection.CLAIM_TYPE, f"{name} is not a text")
    if not value or not value.isprintable():
        raise Refused(Rejection.CLAIM_RANGE, f"{name} is empty or not printable")
    return value


def octets(value: Item, name: str) -> bytes:
    """Return ``value`` if it is a byte string. Raises Refused."""
    if type(value) is not bytes:
        raise Refused(Rejection.CLAIM_TYPE, f"{name} is not a byte string")
    return value


def mapping(value: Item, name: str, labels: frozenset[int] | frozenset[str]) -> dict[Item, Item]:
    """Return ``value`` if it is a map that has none but ``labels``. Raises Refused."""
    if type(value) is not dict:
        raise Refused(Rejection.CLAIM_TYPE, f"{name} is not a map")
    if strangers := value.keys() - labels:
        raise Refused(Rejection.CLAIM_TYPE, f"{name} holds unknown keys: {sorted(map(repr, strangers))!s:.80}")
    return value


def array(value: Item, name: str) -> list[Item]:
    """Return ``value`` if it is an array. Raises Refused."""
    if type(value) is not list:
        raise Refused(Rejection.CLAIM_TYPE, f"{name} is not an array")
    return value
