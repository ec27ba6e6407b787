"""Pages of the order feed, applied one by one, and the request for those that are missing.

A device that is not sure to have everything requests more. It has all of the feed only when a
delta says that its revision is the newest one, and its digest is the platform's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, assert_never

from edge.store import order_cache, order_pages, order_shrink
from edge.store.database.store import Store
from edge.store.order_pages import PageResult
from edge.store.order_shrink import ShrinkLimits
from edge.values.instant import Instant
from sync.agent.feed_schedule import PAGES, FeedSchedule
from sync.agent.outcomes import DocumentOutcome, DownlinkRefusal, Outcome
from sync.wire.messages import OrdersRequest
from sync.wire.order_feed import Delta, Snapshot

DIGEST_WRONG: Final = "orders_digest_wrong"
ROLLBACK: Final = "orders_rollback"
SHRUNK: Final = "orders_shrunk"


class OrderIntake:
    """The order feed of one device's site."""

    def __init__(self, store: Store, *, device: str, limits: ShrinkLimits) -> None:
        self._store = store
        self._limits = limits
        self._newer_than_kept = False  # there is more than the snapshot that waits for a person
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
        incarnation = state.snapshot_incarnation if snapshot else state.incarnation
        if state.dropped is not None and self._newer_than_kept:
            snapshot, self._newer_than_kept = 0, False
        return OrdersRequest(
            dev=self._device,
            id=new_id(),
            incarnation=incarnation.hex(),
            # A delta would not help while all is loaded, nor where the rows here are wrong.
            have=0 if state.snapshot_revision or state.must_reload else state.revision,
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

    def apply(self, page: Snapshot | Delta, now: Instant, monotonic_s: float) -> Outcome:
        """Apply a page that is verified. Raises StoreUnavailableError."""
        # A page that was held back on its way is no fresher than when it was issued.
        as_of = replace(now, unix_s=page.issued_at_s)
        confirmed = self._record_confirmation(page)
        if isinstance(page, Snapshot):
            result = self._apply_snapshot(page, as_of, now.unix_s)
            self._may_be_stale |= result is PageResult.COMPLETE
        else:
            known = order_cache.feed_state(self._store).must_reload
            result = self._apply_delta(page, as_of, now.unix_s)
            if result is PageResult.LOADING:
                self._watch_kept(page, monotonic_s, confirmed=confirmed)
            elif self._differs(page):
                self._schedule.note_wrong(monotonic_s, already_known=known)
                detail = "the orders here are not the platform's: loading all of them again"
                return DownlinkRefusal(DIGEST_WRONG, detail)
        self._plan(page, result, monotonic_s)
        return _outcome(result)

    def _record_confirmation(self, page: Snapshot | Delta) -> bool:
        """Record what a person has confirmed. Return whether that is news."""
        return page.confirmed is not None and order_shrink.record_confirmation(
            self._store,
            incarnation=page.incarnation,
            revision=page.confirmed.revision,
            rows=page.confirmed.rows,
        )

    def _watch_kept(self, page: Delta, monotonic_s: float, *, confirmed: bool) -> None:
        """Request again where a delta concerns the snapshot that waits for a person."""
        state = order_cache.feed_state(self._store)
        if state.dropped is None:
            return
        kept = (state.snapshot_incarnation, state.snapshot_revision or 0)
        if (page.incarnation, page.head) > kept and not self._newer_than_kept:
            self._newer_than_kept = True
            self._schedule.note_wrong(monotonic_s, already_known=False)
        if confirmed:
            self._schedule.note_missing(monotonic_s)

    def _apply_snapshot(self, page: Snapshot, as_of: Instant, clock_s: int) -> PageResult:
        return order_pages.apply_snapshot_page(
            self._store,
            page.rows,
            site=page.site,
            incarnation=page.incarnation,
            revision=page.revision,
            page=page.page,
            last=page.last,
            now=as_of,
            digests=page.digests,
            limits=self._limits,
            clock_s=clock_s,
        )

    def _apply_delta(self, page: Delta, as_of: Instant, clock_s: int) -> PageResult:
        if self._is_whole_by(page) and page.from_revision == page.to_revision:
            order_cache.record_contact(self._store, as_of)
        return order_pages.apply_delta(
            self._store,
            page.rows,
            site=page.site,
            removed=page.removed,
            incarnation=page.incarnation,
            from_revision=page.from_revision,
            to_revision=page.to_revision,
            now=as_of,
            digests=page.digests,
            limits=self._limits,
            clock_s=clock_s,
        )

    def _differs(self, page: Delta) -> bool:
        """Return whether the cache is at the platform's newest revision, but differs from it."""
        return self._is_whole_by(page) and not order_cache.digest_matches(self._store, page.digest)

    def _plan(self, page: Snapshot | Delta, result: PageResult, monotonic_s: float) -> None:
        """Plan the next request: at once unless the page shows that everything is here."""
        match result:
            case PageResult.APPLIED | PageResult.ALREADY if self._is_whole_by(page):
                self._schedule.note_whole(monotonic_s)
            case PageResult.APPLIED:
                self._schedule.note_page(monotonic_s)
            case PageResult.COMPLETE:
                self._schedule.note_loaded(monotonic_s)
            case PageResult.SHRUNK:
                self._schedule.note_kept(monotonic_s)
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
        state = order_cache.feed_state(self._store)
        return isinstance(page, Delta) and (page.incarnation, page.head) == (
            state.incarnation,
            state.revision,
        )


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
        case PageResult.SHRUNK:
            detail = "a snapshot that drops too many orders is kept aside, and the old ones stay"
            return DownlinkRefusal(SHRUNK, detail)
        case PageResult.STALE:
            return DownlinkRefusal(ROLLBACK, "a page older than what is here")
        case _:
            assert_never(result)
