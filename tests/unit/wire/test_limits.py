"""Pages are cut by bytes, never by a number of items."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from sync.wire.limits import (
    MOST_DOCUMENT_BYTES,
    MOST_MESSAGE_BYTES,
    PAGE_BYTES,
    PageBounds,
    fitting,
    pages,
)

BOUNDS = PageBounds(most_items=5, most_bytes=60)
SIZES = st.lists(st.integers(0, 50))


@given(SIZES)
def test_every_item_is_on_one_page_in_its_order(sizes: list[int]) -> None:
    assert [size for page in pages(sizes, int, BOUNDS) for size in page] == sizes


@given(SIZES)
def test_a_page_is_never_larger_than_its_bound_and_never_empty(sizes: list[int]) -> None:
    for page in pages(sizes, int, BOUNDS):
        assert 1 <= len(page) <= 5
        assert sum(page) <= 60


def test_an_item_above_the_bound_is_alone_on_its_page() -> None:
    assert list(pages([10, 99, 10], int, BOUNDS)) == [[10], [99], [10]]


@given(SIZES)
def test_the_first_page_is_as_many_as_fit(sizes: list[int]) -> None:
    first = next(iter(pages(sizes, int, BOUNDS)), [])
    assert fitting(sizes, BOUNDS) == len(first)


def test_a_document_in_base64_is_still_a_message() -> None:
    assert len(b64encode(bytes(MOST_DOCUMENT_BYTES))) + PAGE_BYTES // 4 < MOST_MESSAGE_BYTES
