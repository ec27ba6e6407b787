"""Decisions of people at the platform, published to devices until each device confirms them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.signed_document import sign_document
from sync.hub.ledger import reviews
from sync.hub.store.interface import HubConnection, HubStore
from sync.wire.limits import PageBounds, pages
from sync.wire.review_page import ReviewPage, review_payload

POLL_EVERY_S: Final = 1.0
REPEAT_S: Final = 60.0
Page = tuple[str, bytes]  # a device, and the payload for it


class ReviewPublisher:
    """Finds the decisions that are due for publication.

    ``now_s`` returns Unix time; ``site_of`` returns None for a device that is no longer active.
    """

    def __init__(
        self, signer: Signer, *, site_of: Callable[[str], str | None], now_s: Callable[[], int]
    ) -> None:
        self._signer = signer
        self._site_of = site_of
        self._now_s = now_s
        self._poll_due_s = 0.0
        self._repeat_s: dict[int, float] = {}  # when to repeat each decision, by its number

    def start_over(self) -> None:
        """Publish everything again: the connection is a new one."""
        self._repeat_s.clear()
        self._poll_due_s = 0.0

    def pages_for(self, connection: HubConnection, dev: str) -> list[Page]:
        """Return the unconfirmed decisions for ``dev``, which has just reconnected."""
        decided = reviews.undelivered(connection, dev).get(dev, [])
        return self._pages(dev, [row for _, row in decided])

    def due_pages(self, store: HubStore, monotonic_s: float) -> list[Page]:
        """Return new decisions, and those that a device has not confirmed for ``REPEAT_S``.

        Raises HubStoreError.
        """
        if monotonic_s < self._poll_due_s:
            return []
        self._poll_due_s = monotonic_s + POLL_EVERY_S
        with store.read() as connection:
            waiting = reviews.undelivered(connection)
        known = {no for decided in waiting.values() for no, _ in decided}
        self._repeat_s = {no: at_s for no, at_s in self._repeat_s.items() if no in known}
        found = []
        for dev, decided in waiting.items():
            now = [(no, row) for no, row in decided if monotonic_s >= self._repeat_s.get(no, 0.0)]
            self._repeat_s.update((no, monotonic_s + REPEAT_S) for no, _ in now)
            found += self._pages(dev, [row for _, row in now])
        return found

    def _pages(self, dev: str, rows: list[bytes]) -> list[Page]:
        site = self._site_of(dev) if rows else None
        if site is None:
            return []
        made = [
            ReviewPage(site=site, issued_at_s=self._now_s(), rows=tuple(cut))
            for cut in pages(rows, len, PageBounds(reviews.PAGE))
        ]
        return [
            (dev, sign_document(review_payload(page), Purpose.ORDER_FEED, self._signer))
            for page in made
        ]
