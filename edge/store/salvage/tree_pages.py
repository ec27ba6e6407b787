"""SQLite's b-tree pages: the cells and the children of one page. Pure.

Source: https://www.sqlite.org/fileformat2.html, section 1.6.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from edge.store.salvage.records import read_rowid, read_varint

FIRST_PAGE_HEADER: Final = 100  # bytes of the file's own header, on page 1


class PageKind(IntEnum):
    """The first byte of a b-tree page."""

    INDEX_INTERIOR = 2  # also of a table WITHOUT ROWID; it has rows of its own
    TABLE_INTERIOR = 5
    INDEX_LEAF = 10
    TABLE_LEAF = 13

    @property
    def has_rows(self) -> bool:
        """True when its cells hold records."""
        return self is not PageKind.TABLE_INTERIOR

    @property
    def of_table(self) -> bool:
        """True for the tree of a table with rowids."""
        return self in (PageKind.TABLE_INTERIOR, PageKind.TABLE_LEAF)


class Cell(NamedTuple):
    """One row as it lies in a page."""

    rowid: int | None  # None: the row has its key in its record
    size: int  # of the whole payload, in bytes
    local: bytes  # the part of the payload on this page
    overflow: int  # the page that has the next part; 0: none


class TreePage(NamedTuple):
    """What a page holds. Cells that cannot be read are left out."""

    kind: PageKind
    announced: int  # how many cells it says it has
    cells: list[Cell]
    children: list[int]  # page numbers; empty for a leaf


def page_kind(data: bytes, *, number: int) -> PageKind | None:
    """Return the kind that page ``number`` says it is of; None where that is no b-tree page."""
    at = FIRST_PAGE_HEADER if number == 1 else 0
    return PageKind(data[at]) if data[at] in PageKind._value2member_map_ else None


def read_page(data: bytes, kind: PageKind, *, number: int) -> TreePage | None:
    """Read page ``number`` as one of ``kind``, whatever its first byte says.

    Returns None for data that cannot be one.
    """
    header = FIRST_PAGE_HEADER if number == 1 else 0
    leaf = kind in (PageKind.INDEX_LEAF, PageKind.TABLE_LEAF)
    pointers = header + (8 if leaf else 12)
    count = int.from_bytes(data[header + 3 : header + 5], "big")
    first = pointers + 2 * count
    if first > len(data):
        return None
    cells, children = [], []
    for place in range(pointers, first, 2):
        at = int.from_bytes(data[place : place + 2], "big")
        if not first <= at < len(data):
            continue
        if not leaf:
            children.append(int.from_bytes(data[at : at + 4], "big"))
        if kind.has_rows:
            cell = _cell(data, at if leaf else at + 4, kind)
            if cell is not None:
                cells.append(cell)
    if not leaf:
        children.append(int.from_bytes(data[header + 8 : header + 12], "big"))
    return TreePage(kind, count, cells, children)


def _cell(data: bytes, at: int, kind: PageKind) -> Cell | None:
    try:
        size, at = read_varint(data, at)
        rowid = None
        if kind is PageKind.TABLE_LEAF:
            rowid, at = read_rowid(data, at)
    except IndexError:
        return None
    here = _local_size(size, len(data), kind)
    end = at + here
    spills = here < size
    if not size or end + 4 * spills > len(data):
        return None
    overflow = int.from_bytes(data[end : end + 4], "big") if spills else 0
    return Cell(rowid, size, data[at:end], overflow)


def _local_size(size: int, usable: int, kind: PageKind) -> int:
    """Return how much of a payload is on the page itself (section 1.6, "payload overflow")."""
    most = usable - 35 if kind is PageKind.TABLE_LEAF else (usable - 12) * 64 // 255 - 23
    if size <= most:
        return size
    least = (usable - 12) * 32 // 255 - 23
    fitting = least + (size - least) % (usable - 4)
    return fitting if fitting <= most else least
