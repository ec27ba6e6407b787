"""Unrequested pages of the order feed: those of each change, and an empty one now and then.

An empty page says what the newest revision is, so that a device that has lost the last change asks
for it. It comes seconds after a change, and then at intervals that double.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.signed_document import sign_document
from sync.hub.orders import order_lines
from sync.hub.store import confirmation_table, feed_table
from sync.hub.store.interface import HubConnection, HubStore
from sync.wire.limits import PageBounds
from sync.wire.order_feed import PAGE, Delta, Snapshot, page_payload
from sync.wire.topics import site_group

MOST_PAGES_PUSHED: Final = 20  # of one change; a device that needs more requests them
FIRST_BEAT_S: Final = 5.0  # after a change


@dataclass(slots=True)
class _Beat:
    """The next empty page of a site: when it is due (monotonic seconds), and the wait after it."""

    due_s: float
    wait_s: float = FIRST_BEAT_S


class OrderPublisher:
    """Finds what has changed since its last look. Pages are signed documents."""

    def __init__(
        self,
        signer: Signer,
        *,
        heartbeat_s: float,
        now_s: Callable[[], int],
        bounds: PageBounds = PAGE,
    ) -> None:
        """Send an empty page at least every ``heartbeat_s``, in seconds."""
        self._bounds = bounds
        self._signer = signer
        self._heartbeat_s = heartbeat_s
        self._now_s = now_s
        self._data_version = -1
        self._heads: dict[str, int] | None = None
        self._confirmed: dict[str, int] = {}  # by site, the revision
        self._beats: dict[str, _Beat] = {}
        self._beat_due_s = 0.0  # of the first of them

    def announce(self) -> None:
        """Start to publish: this hub has become the leader. An empty page is due at each site."""
        self._beats.clear()
        self._beat_due_s = 0.0

    def sign_page(self, page: Snapshot | Delta) -> bytes:
        """Return a page as a signed document."""
        return sign_document(page_payload(page), Purpose.ORDER_FEED, self._signer)

    def due_pages(self, store: HubStore, monotonic_s: float) -> list[tuple[str, bytes]]:
        """Return the pages to publish now, each with its group, in order."""
        version = store.data_version()
        if version == self._data_version and monotonic_s < self._beat_due_s:
            return []
        self._data_version = version
        with store.read() as connection:
            heads = feed_table.heads(connection)
            self._note_confirmations(connection, monotonic_s)
            before = heads if self._heads is None else self._heads
            pages = [
                (site_group(site), self.sign_page(page))
                for site, head in heads.items()
                for page in self._site_pages(
                    connection, site, before.get(site, 0), head, monotonic_s
                )
            ]
        self._heads = heads
        self._beat_due_s = min(
            (beat.due_s for beat in self._beats.values()), default=monotonic_s + self._heartbeat_s
        )
        return pages

    def _note_confirmations(self, connection: HubConnection, monotonic_s: float) -> None:
        """Repeat the newest revision at once where a person has confirmed it."""
        confirmed = confirmation_table.confirmed_revisions(connection)
        for site, revision in confirmed.items():
            if self._confirmed.get(site) != revision and site in self._beats:
                self._beats[site] = _Beat(monotonic_s)
        self._confirmed = confirmed

    def _site_pages(
        self, connection: HubConnection, site: str, after: int, head: int, monotonic_s: float
    ) -> Iterator[Delta]:
        if after < head:
            self._beats[site] = _Beat(monotonic_s + FIRST_BEAT_S)
        pages = 0
        while after < head and pages < MOST_PAGES_PUSHED:
            page = order_lines.delta_page(
                connection, site, after, self._now_s(), bounds=self._bounds
            )
            yield page
            after, pages = page.to_revision, pages + 1
        beat = self._beats.setdefault(site, _Beat(monotonic_s))
        if monotonic_s >= beat.due_s:
            beat.due_s = monotonic_s + beat.wait_s
            beat.wait_s = min(2 * beat.wait_s, self._heartbeat_s)
            yield order_lines.delta_page(connection, site, head, self._now_s(), bounds=self._bounds)
