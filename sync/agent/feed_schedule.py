"""When a device requests orders: at once where something is missing, and seldom where nothing is.

After a request it waits while pages come, and for ``REQUEST_AGAIN_S`` after the last of them.
Without a reply the waits double. Other pages that come meanwhile do not shorten the wait, so a thin
line is not filled with requests.
"""

from __future__ import annotations

from typing import Final

REQUEST_AGAIN_S: Final = 5.0  # without a page for this long; doubled each time up to
LONGEST_REQUEST_S: Final = 15.0
REFRESH_S: Final = 1800.0  # without news for this long, request them
PAGES: Final = 8  # requested at a time: one round trip for so many
DECISION_S: Final = 60.0  # between two requests for a person's decision
RELOAD_S: Final = 60.0  # between loads of all orders, where one has not helped; doubled up to
LONGEST_RELOAD_S: Final = 3600.0


class FeedSchedule:
    """The time of the next request. All times are monotonic seconds."""

    def __init__(self) -> None:
        self._due_s = 0.0
        self._wait_s = REQUEST_AGAIN_S
        self._expected = 0  # pages of the last request that have not come
        self._heard_s = 0.0  # when it was sent, or a page of it came
        self._reload_s = 0.0  # how long to wait between two loads of all orders
        self._reload_due_s = 0.0

    def is_due(self, monotonic_s: float) -> bool:
        """Return whether to send a request now."""
        return monotonic_s >= self._due_s

    def note_requested(self, monotonic_s: float) -> None:
        """Note that the request was sent."""
        self._due_s = monotonic_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_REQUEST_S)
        self._heard_s = monotonic_s
        self._expected = PAGES

    def request_now(self, monotonic_s: float) -> None:
        """Request orders with the next step: the last request may be lost."""
        self._wait_s = REQUEST_AGAIN_S
        self._due_s = monotonic_s
        self._expected = 0

    def note_missing(self, monotonic_s: float, *, not_before_s: float = 0.0) -> None:
        """Request at once, or when the pages on their way have not helped."""
        self._wait_s = REQUEST_AGAIN_S
        due_s = self._heard_s + REQUEST_AGAIN_S if self._expected > 0 else monotonic_s
        self._due_s = min(self._due_s, max(due_s, not_before_s))

    def note_wrong(self, monotonic_s: float, *, already_known: bool) -> None:
        """Request all orders again; where that was done before in vain, later."""
        if not already_known:
            self._expected = 0  # of a request for something else
        self.note_missing(monotonic_s, not_before_s=self._reload_due_s)

    def note_page(self, monotonic_s: float) -> None:
        """Note that a page was applied, and that others may follow it."""
        self._wait_s = REQUEST_AGAIN_S
        self._heard_s = monotonic_s
        self._expected -= 1
        self._due_s = monotonic_s + REQUEST_AGAIN_S if self._expected > 0 else monotonic_s

    def note_loaded(self, monotonic_s: float) -> None:
        """Note that all orders were loaded: request newer ones."""
        self.request_now(monotonic_s)
        self._reload_due_s = monotonic_s + self._reload_s
        self._reload_s = min(max(2 * self._reload_s, RELOAD_S), LONGEST_RELOAD_S)

    def note_kept(self, monotonic_s: float) -> None:
        """Note that the orders that were loaded wait for a person: request that decision."""
        self.note_loaded(monotonic_s)
        self._due_s = monotonic_s + DECISION_S

    def note_whole(self, monotonic_s: float) -> None:
        """Note that everything is here and right."""
        self._wait_s = REQUEST_AGAIN_S
        self._expected = 0
        self._reload_s = self._reload_due_s = 0.0
        self._due_s = monotonic_s + REFRESH_S
