"""How large a message may be: the one set of bounds for everything that is published. Pure.

A packet above ``MOST_PACKET_BYTES`` ends the connection of its sender: the broker accepts none. So
a message whose content grows is cut into pages by bytes, and a document that cannot be cut has a
bound where it is made. A number of items alone bounds nothing: legal items differ a thousandfold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from edge.token.signed_document import LARGEST

MOST_PACKET_BYTES: Final = 2**20  # the broker's max_packet_size, and what each client accepts
# The payload of a packet. The rest is room for its header, topic and properties.
MOST_MESSAGE_BYTES: Final = MOST_PACKET_BYTES - 4096
MOST_DOCUMENT_BYTES: Final = LARGEST  # of a signed document
PAGE_BYTES: Final = 128 * 1024  # a page is closed before it grows beyond this

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageBounds:
    """What one page may hold: ``most_items`` bound the work of its reader."""

    most_items: int
    most_bytes: int = PAGE_BYTES


def fitting(sizes: Iterable[int], bounds: PageBounds) -> int:
    """Return how many of the first items fit into a page; one, where the first alone is larger.

    >>> fitting([40, 40, 40], PageBounds(most_items=9, most_bytes=100))
    2
    >>> fitting([400, 40], PageBounds(most_items=9, most_bytes=100))
    1
    """
    count = total = 0
    for size in sizes:
        total += size
        if count == bounds.most_items or (count and total > bounds.most_bytes):
            break
        count += 1
    return count


def pages(
    items: Sequence[T], size: Callable[[T], int], bounds: PageBounds
) -> Iterator[Sequence[T]]:
    """Yield ``items`` in pages within ``bounds``; an item that is larger is alone.

    >>> list(pages([b"aa", b"bb", b"cccc"], len, PageBounds(most_items=9, most_bytes=4)))
    [[b'aa', b'bb'], [b'cccc']]
    """
    sizes = list(map(size, items))
    start = 0
    while start < len(items):
        end = start + fitting(islice(sizes, start, None), bounds)
        yield items[start:end]
        start = end
