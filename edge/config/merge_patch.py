"""JSON Merge Patch (RFC 7386). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Tree = dict[str, Any]


def merge(base: Any, patch: Any) -> Any:
    """Return ``base`` changed by ``patch`` (RFC 7386). Null removes a key; arrays are replaced.

    >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": 3}})
    {'a': {'c': 2, 'd': 3}}
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def merge_all(base: Tree, patches: Iterable[Tree]) -> Tree:
    """Apply ``patches`` in order."""
    merged: Tree = base
    for patch in patches:
        merged = merge(merged, patch)
    return merged
