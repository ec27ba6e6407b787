"""Pages of the order feed, applied one by one, and the request for those that are missing.

A device that is not sure to have everything requests more. It has all of the feed only when a
delta says that its revision is the newest one, and its digest is the platform's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from edge.store import order_cache
from edge.store.database.store import Store
from edge.store.order_cache import PageResult
from edge.values.instant import Instant
from sync.agent.feed_schedule import PAGES, FeedSchedule
from sync.agent.outcomes import DocumentOutcome, DownlinkRefusal, Outcome
from sync.wire.messages import OrdersRequest
from sync.wire.order_feed import Delta, Snapshot

DIGEST_WRONG: Final = "orders_digest_wrong"
ROLLBACK: Final = "orders_rollback"


class OrderIntake:
    """The order feed of one device's site."""

    def __init__(self, store: Store, *, device: str) -> None:
        self._store = store
        self._device = device
        self._schedule = FeedSchedule()
        self._may_be_stale = True  # rows that a snapshot did not name may still be here

    def request_now(self, monotonic_s: float) -> None:
        """Request orders with the next step: some may have been missed."""
        self._schedule.request_now(monotonic_s)

    def next_request(
        self, monotonic_s: float, *, new_id: Callable[[], str]
    ) -> OrdersRequest | None:
        """Return the request to send now, if any."""
        if not self._schedule.is_due(monotonic_s):
            return None
        self._schedule.note_requested(monotonic_s)
        state = order_cache.feed_state(self._store)
        snapshot = state.snapshot_revision or 0
        return OrdersRequest(
            dev=self._device,
            id=new_id(),
            # A delta would not help while all is loaded, nor where the rows here are wrong.
            have=0 if snapshot or state.digest_mismatch else state.revision,
            snapshot=snapshot,
            page=state.next_page if snapshot else 0,
            pages=PAGES,
        )

    def remove_stale_rows(self) -> None:
        """Remove some orders that a snapshot left behind. For idle moments.

        Raises StoreUnavailableError.
        """
        if self._may_be_stale:
            self._may_be_stale = order_cache.delete_stale(self._store)

    def apply(self, page: Snapshot | Delta, as_of: Instant, monotonic_s: float) -> Outcome:
        """Apply a page that is verified, as of its time of issue. Raises StoreUnavailableError."""
        if isinstance(page, Snapshot):
            result = self._apply_snapshot(page, as_of)
            self._may_be_stale |= result is PageResult.COMPLETE
        else:
            known = order_cache.feed_state(self._store).digest_mismatch
            result = self._apply_delta(page, as_of)
            if result is not PageResult.LOADING and self._differs(page):
                self._schedule.note_wrong(monotonic_s, already_known=known)
                detail = "the orders here are not the platform's: loading all of them again"
                return DownlinkRefusal(DIGEST_WRONG, detail)
        self._plan(page, result, monotonic_s)
        return _outcome(result)

    def _apply_snapshot(self, page: Snapshot, as_of: Instant) -> PageResult:
        return order_cache.apply_snapshot_page(
            self._store,
            page.rows,
            site=page.site,
            revision=page.revision,
            page=page.page,
            last=page.last,
            now=as_of,
            digests=page.digests,
        )

    def _apply_delta(self, page: Delta, as_of: Instant) -> PageResult:
        if page.from_revision == page.to_revision == order_cache.feed_state(self._store).revision:
            order_cache.record_contact(self._store, as_of)
        return order_cache.apply_delta(
            self._store,
            page.rows,
            site=page.site,
            removed=page.removed,
            from_revision=page.from_revision,
            to_revision=page.to_revision,
            now=as_of,
            digests=page.digests,
        )

    def _differs(self, page: Delta) -> bool:
        """Return whether the cache is at the platform's newest revision, but differs from it."""
        revision = order_cache.feed_state(self._store).revision
        return revision == page.head and not order_cache.digest_matches(self._store, page.digest)

    def _plan(self, page: Snapshot | Delta, result: PageResult, monotonic_s: float) -> None:
        """Plan the next request: at once unless the page shows that everything is here."""
        match result:
            case PageResult.APPLIED | PageResult.ALREADY if self._is_whole_by(page):
                self._schedule.note_whole(monotonic_s)
            case PageResult.APPLIED:
                self._schedule.note_page(monotonic_s)
            case PageResult.COMPLETE:
                self._schedule.note_loaded(monotonic_s)
            case PageResult.ALREADY if isinstance(page, Snapshot):
                pass  # a page that came twice
            case PageResult.LOADING:
                pass  # what it changed is requested after the snapshot
            case PageResult.ALREADY | PageResult.GAP | PageResult.STALE:
                self._schedule.note_missing(monotonic_s)
            case _:
                assert_never(result)

    def _is_whole_by(self, page: Snapshot | Delta) -> bool:
        """Return whether a delta shows that the cache is at the platform's newest revision."""
        return isinstance(page, Delta) and order_cache.feed_state(self._store).revision == page.head


def _outcome(result: PageResult) -> Outcome:
    match result:
        case PageResult.APPLIED:
            return DocumentOutcome.ORDERS
        case PageResult.COMPLETE:
            return DocumentOutcome.ORDERS_COMPLETE
        case PageResult.ALREADY | PageResult.LOADING:
            return DocumentOutcome.SAME
        case PageResult.GAP:
            return DocumentOutcome.ORDERS_GAP
        case PageResult.STALE:
            return DownlinkRefusal(ROLLBACK, "a page older than what is here")
        case _:
            assert_never(result)
