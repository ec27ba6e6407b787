"""Arguments of a request from operations, checked before they reach a statement. Raise ValueError."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from sync.wire.messages import MAX_SEQ


def text_or_none(args: Mapping[str, Any], name: str) -> str | None:
    """Return a text; None where it is left out."""
    value = args.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is not a text")
    return value


def count(args: Mapping[str, Any], name: str) -> int:
    """Return a whole number; 0 where it is left out."""
    value = int(args.get(name, 0))
    if not 0 <= value <= MAX_SEQ:
        raise ValueError(f"{name} is not from 0 to {MAX_SEQ}")
    return value


def octets(args: Mapping[str, Any], name: str) -> bytes:
    """Return bytes, which come as base64. Raises KeyError where they are left out."""
    return base64.b64decode(args[name])
