"""What every store of the project can hold of a value that came out of JSON. Pure.

A store over PostgreSQL holds no U+0000, no store holds half of a surrogate pair or an integer of
more than 64 bits, and readers of JSON differ about NaN and about how deep it may nest. Both ends
check here: a device withholds such an event, and the hub refuses it alone.
"""

from __future__ import annotations

import math
from typing import Final

MOST_DEPTH: Final = 32  # arrays and objects in each other; a body of ours has two
_INTEGERS: Final = range(-(2**63), 2**63)


def unstorable(value: object) -> str | None:
    r"""Return what in ``value`` no store can hold; None when there is nothing of the kind.

    >>> unstorable({"reason": "looked at it", "units": 1})
    >>> unstorable({"reason": "looked at\0it"})
    'a text with U+0000'
    >>> unstorable({"units": 2**63})
    'an integer of more than 64 bits'
    """
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner += (*item.keys(), *item.values())
            elif isinstance(item, list | tuple):
                inner += item
            elif fault := _fault_of(item):
                return fault
        if not inner:
            return None
        level = inner
    return f"values nested more than {MOST_DEPTH} deep"


def _fault_of(item: object) -> str | None:
    match item:
        case str():
            return _text_fault(item)
        case bool() | None:
            return None
        case int():
            return None if item in _INTEGERS else "an integer of more than 64 bits"
        case float():
            return None if math.isfinite(item) else "a number that is not finite"
        case _:
            return f"a {type(item).__name__}"


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "a text with U+0000"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a text that is not Unicode"
    return None
