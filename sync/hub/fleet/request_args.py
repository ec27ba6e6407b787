"""Arguments of a request from operations, checked before they reach a statement.

Every function raises ValueError for an argument of the wrong type or range.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from sync.wire.messages import MAX_SEQ


def text_or_none(args: Mapping[str, Any], name: str) -> str | None:
    """Return a text; None where it is missing."""
    value = args.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is not a text")
    return value


def count(args: Mapping[str, Any], name: str) -> int:
    """Return a whole number from 0 to MAX_SEQ; 0 where it is missing."""
    value = int(args.get(name, 0))
    if not 0 <= value <= MAX_SEQ:
        raise ValueError(f"{name} is not from 0 to {MAX_SEQ}")
    return value


def octets(args: Mapping[str, Any], name: str) -> bytes:
    """Return bytes, which arrive as base64. Raises KeyError where they are missing."""
    return base64.b64decode(args[name])
