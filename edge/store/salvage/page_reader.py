"""Read the rows of a broken store off its pages, without the tree above them.

Every page of both files is read. The trees, as far as they are whole, say whose page it is. Of the
other pages the shape of their records says it, whatever their first byte is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from edge.store.salvage.carried_tables import CARRIED, CarriedTable, table_named
from edge.store.salvage.gathered_rows import Evidence, GatheredRows
from edge.store.salvage.page_images import PageImages
from edge.store.salvage.records import Value, read_record
from edge.store.salvage.shapes import RecordColumn, Shape, own_schema, read_shapes
from edge.store.salvage.tree_pages import PageKind, TreePage, page_kind, read_page

_SCHEMA: Final = Shape(
    "sqlite_schema",
    "sqlite_schema",
    (
        RecordColumn("type", (str,), True, None),
        RecordColumn("name", (str,), True, None),
        RecordColumn("tbl_name", (str,), True, None),
        RecordColumn("rootpage", (int,), True, None),
        RecordColumn("sql", (str,), False, None),
    ),
    None,
    True,
    1,
)
_LEAVES: Final = (PageKind.TABLE_LEAF, PageKind.INDEX_LEAF, PageKind.INDEX_INTERIOR)
Row = Mapping[str, Value]


class _Found(NamedTuple):
    row: Row
    whole: bool  # every column of its record is there


class _Record(NamedTuple):
    rowid: int | None
    values: list[Value]
    cut: bool  # its end was lost


class PageReader:
    """Reads the pages of one store."""

    def __init__(self, images: PageImages, gathered: GatheredRows) -> None:
        self._images = images
        self._gathered = gathered
        self.damaged: set[str] = set()  # tables that lost pages, as far as is known
        self._shapes = self._read_schema()
        self._owners: dict[int, Shape] = {}
        for shape in self._shapes:
            if shape.root:
                self._follow(shape)

    def read(self, complete: Collection[str]) -> None:
        """Add every row that can be read, but of ``complete`` tables whose trees are whole.

        Raises OSError.
        """
        needed = {table.name for table in CARRIED} - (set(complete) - self.damaged)
        numbers = [
            number
            for number in range(1, self._images.count + 1)
            if number not in self._owners or self._owners[number].table in needed
        ]
        for number in numbers:
            self._read_page(number, self._images.current(number), Evidence.CURRENT)
        for number in numbers:
            for data in self._images.earlier(number):
                self._read_page(number, data, Evidence.EARLIER)

    def _read_schema(self) -> list[Shape]:
        """Return the shapes of the store's own schema; of this program's where it is lost."""
        self._owners = {}
        self._follow(_SCHEMA)
        rows = [
            found.row
            for number in self._owners
            for found in self._rows_as(_SCHEMA, number, self._images.current(number))[0]
            if found.whole
        ]
        roots = {str(row["name"]): _whole_number(row["rootpage"]) for row in rows}
        statements = [str(row["sql"]) for row in rows if row["sql"]]
        shapes = read_shapes(statements, roots)
        carried = {table.name for table in CARRIED}
        if not self.damaged and carried <= {shape.name for shape in shapes}:
            return shapes
        self.damaged = carried
        # A statement of this program fails, and is left out, where the store's own could be read.
        return read_shapes([*statements, *own_schema()], roots)

    def _follow(self, shape: Shape) -> None:
        """Note the pages of a tree, as far down as it is whole."""
        waiting = [shape.root]
        while waiting:
            number = waiting.pop()
            if not 1 <= number <= self._images.count or number in self._owners:
                self.damaged.add(shape.table)
                continue
            self._owners[number] = shape
            data = self._images.current(number)
            kind = page_kind(data, number=number)
            page = None if kind is None else read_page(data, kind, number=number)
            if page is None or page.kind.of_table is not shape.by_rowid:
                self.damaged.add(shape.table)
                continue
            waiting += page.children
            if page.kind.has_rows and len(page.cells) < page.announced:
                self.damaged.add(shape.table)

    def _read_page(self, number: int, data: bytes, evidence: Evidence) -> None:
        if not any(data):
            return
        shape = self._owners.get(number)
        found: list[_Found] = []
        if shape is not None:
            found, whole = self._rows_as(shape, number, data)
            if not whole and evidence is Evidence.CURRENT:
                self.damaged.add(shape.table)
        if not found:
            shape, found = self._guess(number, data)
        table = None if shape is None else table_named(shape.table)
        if shape is None or table is None or (evidence is Evidence.EARLIER and not table.grows):
            return
        for item in found:
            self._add(table, item, evidence)

    def _rows_as(self, shape: Shape, number: int, data: bytes) -> tuple[list[_Found], bool]:
        """Return the rows of a page that belongs to ``shape``, and whether they are all."""
        kind = page_kind(data, number=number)
        if kind is None or not kind.has_rows or kind.of_table is not shape.by_rowid:
            return [], True  # an inner page, or a damage that is known from following the tree
        page = read_page(data, kind, number=number)
        found = [] if page is None else _fitting(self._records(page), shape, loose=True)
        whole = page is not None and len(found) == page.announced
        return found, whole and all(item.whole for item in found)

    def _guess(self, number: int, data: bytes) -> tuple[Shape | None, list[_Found]]:
        """Return the shape that most of a page's records have, and those; None for an odd page."""
        best: list[tuple[Shape, list[_Found]]] = []
        kind = page_kind(data, number=number)
        for each in _LEAVES if kind is None else (kind, *_LEAVES):
            page = read_page(data, each, number=number) if each.has_rows else None
            if page is None or not page.cells:
                continue
            records = self._records(page)
            for shape in self._shapes:
                found = _fitting(records, shape, loose=False)
                if 2 * len(found) > page.announced:
                    best.append((shape, found))
            if best:
                break
        if len(best) > 1:
            best = [(shape, found) for shape, found in best if not shape.is_index]
        return best[0] if len(best) == 1 else (None, [])

    def _records(self, page: TreePage) -> list[_Record]:
        records = []
        for cell in page.cells:
            payload = self._images.payload(cell)
            with suppress(ValueError, IndexError, OverflowError):  # it is no record
                values = read_record(payload)
                records.append(_Record(cell.rowid, values, len(payload) < cell.size))
        return records

    def _add(self, table: CarriedTable, found: _Found, evidence: Evidence) -> None:
        if any(found.row.get(name) is None for name in table.key):
            return
        columns = list(found.row)
        if found.whole and all(name in found.row for name in table.columns):
            self._gathered.add(table, columns, [list(found.row.values())], evidence)
        else:
            self._gathered.add_part(table, found.row)


def _fitting(records: list[_Record], shape: Shape, *, loose: bool) -> list[_Found]:
    """Return the rows of those records that are of this shape."""
    rows = ((shape.row(rowid, values, cut=cut, loose=loose), cut) for rowid, values, cut in records)
    return [_Found(row, not cut) for row, cut in rows if row is not None]


def _whole_number(value: Value) -> int:
    return value if isinstance(value, int) else 0
