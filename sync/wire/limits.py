"""How large a message may be: the one set of bounds for everything that is published. Pure.

A packet above ``MOST_PACKET_BYTES`` ends the connection of its sender: the broker accepts none. So
a message whose content grows is cut into pages by bytes, and a document that cannot be cut has a
bound where it is made. No bound is a number of items: legal items differ a thousandfold in size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

MOST_PACKET_BYTES: Final = 2**20  # the broker's max_packet_size, and what each client accepts
# The payload of a packet. The rest is room for its header, topic and properties.
MOST_MESSAGE_BYTES: Final = MOST_PACKET_BYTES - 4096
MOST_DOCUMENT_BYTES: Final = 704 * 1024  # a signed document: a message even in base64, in a request
PAGE_BYTES: Final = 128 * 1024  # a page is closed before it grows beyond this

T = TypeVar("T")


def fitting(sizes: Iterable[int], most_bytes: int = PAGE_BYTES) -> int:
    """Return how many of the first items fit into a page; one, where the first alone is larger.

    >>> fitting([40, 40, 40], most_bytes=100)
    2
    >>> fitting([400, 40], most_bytes=100)
    1
    """
    count = total = 0
    for size in sizes:
        total += size
        if count and total > most_bytes:
            break
        count += 1
    return count


def pages(
    items: Iterable[T], size: Callable[[T], int], most_bytes: int = PAGE_BYTES
) -> Iterator[list[T]]:
    """Yield ``items`` in pages of at most ``most_bytes``; an item that is larger is alone.

    >>> list(pages([b"aa", b"bb", b"cccc"], len, most_bytes=4))
    [[b'aa', b'bb'], [b'cccc']]
    """
    page: list[T] = []
    total = 0
    for item in items:
        of_item = size(item)
        if page and total + of_item > most_bytes:
            yield page
            page, total = [], 0
        page.append(item)
        total += of_item
    if page:
        yield page
