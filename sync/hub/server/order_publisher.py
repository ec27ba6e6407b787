"""Unrequested pages of the order feed: one for each change, and a heartbeat without any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.signed_document import sign_document
from sync.hub.orders import order_lines
from sync.hub.store import feed_table
from sync.hub.store.interface import HubConnection, HubStore
from sync.wire.order_feed import Delta, Snapshot, page_payload
from sync.wire.topics import site_group

MOST_PAGES_PUSHED: Final = 20  # of one change; a device that needs more requests them


class OrderPublisher:
    """Finds what has changed since its last look. Pages are signed documents."""

    def __init__(self, signer: Signer, *, heartbeat_s: float, now_s: Callable[[], int]) -> None:
        """Send an empty page every ``heartbeat_s``, in seconds, to sites without a change."""
        self._signer = signer
        self._heartbeat_s = heartbeat_s
        self._now_s = now_s
        self._data_version = -1
        self._heads: dict[str, int] | None = None
        self._beat_due_s = 0.0

    def announce(self) -> None:
        """Start to publish: this hub has become the leader. The first heartbeat is due at once."""
        self._beat_due_s = 0.0

    def sign_page(self, page: Snapshot | Delta) -> bytes:
        """Return a page as a signed document."""
        return sign_document(page_payload(page), Purpose.ORDER_FEED, self._signer)

    def due_pages(self, store: HubStore, monotonic_s: float) -> list[tuple[str, bytes]]:
        """Return the pages to publish now, each with its group, in order."""
        version = store.data_version()
        beat = monotonic_s >= self._beat_due_s
        if version == self._data_version and not beat:
            return []
        self._data_version = version
        with store.read() as connection:
            heads = feed_table.heads(connection)
            before = heads if self._heads is None else self._heads
            pages = [
                (site_group(site), self.sign_page(page))
                for site, head in heads.items()
                for page in self._site_pages(connection, site, before.get(site, 0), head, beat=beat)
            ]
        self._heads = heads
        if beat:
            self._beat_due_s = monotonic_s + self._heartbeat_s
        return pages

    def _site_pages(
        self, connection: HubConnection, site: str, after: int, head: int, *, beat: bool
    ) -> Iterator[Delta]:
        pages = 0
        while after < head and pages < MOST_PAGES_PUSHED:
            page = order_lines.delta_page(connection, site, after, self._now_s())
            yield page
            after, pages = page.to_revision, pages + 1
        if beat and not pages:
            yield order_lines.delta_page(connection, site, head, self._now_s())
