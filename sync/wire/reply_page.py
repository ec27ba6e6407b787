"""A page of a reply to operations: as many items as fit, and where the next page begins. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from pydantic_core import to_json

from sync.wire.limits import MOST_MESSAGE_BYTES, PageBounds

REPLY_BYTES: Final = MOST_MESSAGE_BYTES // 2  # one item, of a message of a device, is below that
T = TypeVar("T")
K = TypeVar("K")


def reply_page(
    rows: Iterable[T],
    item: Callable[[T], dict[str, Any] | None],
    key: Callable[[T], K],
    *,
    most_items: int,
) -> tuple[list[dict[str, Any]], K | None]:
    """Return the items of the first rows, and the key of the last of these rows if more follow.

    ``rows`` are read no further than they fit. ``item`` returns None for a row that is not listed.
    """
    bounds = PageBounds(most_items, REPLY_BYTES)
    listed: list[dict[str, Any]] = []
    size, last = 0, None
    for count, row in enumerate(rows):
        if count == bounds.most_items:
            return listed, last
        made = item(row)
        if made is not None:
            size += len(to_json(made)) + 1
            if listed and size > bounds.most_bytes:
                return listed, last
            listed.append(made)
        last = key(row)
    return listed, None
