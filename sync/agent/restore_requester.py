"""Ask the platform for what this device has lost of its ledger, page by page.

How far that has come is in the store (``edge.store.ledger_restore``), so a kill or a lost
connection costs at most one page. A page counts only when its signature holds, and only as the
reply to the request that waits (law 4). While nothing is missing, nothing is asked.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.store import outbox
from edge.store.database.store import Store
from edge.store.ledger_restore import (
    RestoredRow,
    RestoreState,
    apply_restore_page,
    restore_state,
    restored_count,
)
from edge.token.signed_document import DocumentRefusal
from edge.trust.anchors import Anchors
from edge.values.instant import Instant
from sync.agent.feed_schedule import LONGEST_REQUEST_S, REQUEST_AGAIN_S
from sync.agent.outcomes import DocumentOutcome, DownlinkRefusal, Outcome
from sync.wire.messages import MOST_EPOCHS, MessageFault, RestoreReply, RestoreRequest
from sync.wire.restore_page import RESTORE_PAGE, RestorePage

PENDING: Final = "ledger_restore_pending"  # the problems, by name
BEHIND: Final = "ledger_restore_behind"


@dataclass(frozen=True, slots=True)
class RestoreProgress:
    """What the health file and the metrics say about a restore."""

    recovering: bool
    restored: int  # redemptions given back so far


class RestoreRequester:
    """Joins the store's wish for a restore to the wire. Monotonic seconds."""

    def __init__(
        self, store: Store, anchors: Anchors, *, device: str, site: str, patience_s: float
    ) -> None:
        """Name a restore that is not complete ``patience_s`` after the first step a problem."""
        self._store = store
        self._anchors = anchors
        self._device = device
        self._site = site
        self._patience_s = patience_s
        self._state = restore_state(store)
        self._since_s: float | None = None
        self._waiting: set[str] = set()  # the requests for the next page, which may come late
        self._acknowledged: dict[str, int] = {}  # by epoch, as it was at the request
        self._due_s = 0.0
        self._again_s = REQUEST_AGAIN_S
        self._behind = ""
        self._progress: RestoreProgress | None = None

    def request_now(self, monotonic_s: float) -> None:
        """Ask with the next step: a reply may have been missed, or a restore may have begun."""
        self._again_s = REQUEST_AGAIN_S
        self._due_s = monotonic_s
        self._read()

    def next_request(
        self, monotonic_s: float, *, new_id: Callable[[], str]
    ) -> RestoreRequest | None:
        """Return the request to send now, if any. Without a key no reply could be verified."""
        if self._state.after is None or monotonic_s < self._due_s or not self._anchors.trust.keys:
            return None
        self._due_s = monotonic_s + self._again_s
        self._again_s = min(2 * self._again_s, LONGEST_REQUEST_S)
        self._acknowledged = self._read_acknowledged()
        request = RestoreRequest(
            dev=self._device,
            id=new_id(),
            after=self._state.after,
            epochs=list(self._acknowledged),
        )
        self._waiting.add(request.id)
        return request

    def receive(self, reply: RestoreReply, now: Instant, monotonic_s: float) -> Outcome:
        """Store a page, in one transaction. Raises StoreUnavailableError."""
        page = self._verified(reply, now)
        if isinstance(page, DownlinkRefusal):
            return page
        if page.id not in self._waiting or page.after != self._state.after:
            return DownlinkRefusal("restore_not_requested", "a page that no request waits for")
        self._behind = self._lost_events(page)
        if self._behind:
            return DownlinkRefusal(BEHIND, self._behind)
        rows = [
            RestoredRow(r.cti, r.device, r.event_id, r.units, r.amount_minor, r.at_s)
            for r in page.rows
        ]
        following = None if page.last else page.next
        if not apply_restore_page(self._store, rows, after=page.after, following=following):
            return DocumentOutcome.SAME
        self._waiting.clear()
        self.request_now(monotonic_s)
        return DocumentOutcome.RESTORE_COMPLETE if page.last else DocumentOutcome.RESTORED

    def progress(self) -> RestoreProgress:
        """Return how far the restore has come."""
        if self._progress is None:
            recovering = self._state.after is not None
            self._progress = RestoreProgress(recovering, restored_count(self._store))
        return self._progress

    def problems(self, monotonic_s: float) -> dict[str, str]:
        """Return what is wrong, name to detail. A restore that has just begun is no problem."""
        if self._state.after is None:
            self._since_s = None
            return {}
        self._since_s = monotonic_s if self._since_s is None else self._since_s
        if self._behind:
            return {BEHIND: self._behind}
        if monotonic_s - self._since_s < self._patience_s:
            return {}
        restored = self.progress().restored
        return {
            PENDING: f"the platform has given back {restored} redemptions and not the last:"
            " connect the device; codes from before the loss need the network until then"
        }

    def _read(self) -> RestoreState:
        self._state, self._progress = restore_state(self._store), None
        return self._state

    def _lost_events(self, page: RestorePage) -> str:
        """Return which events the authority had acknowledged and has lost; empty: none.

        It may have lost redemptions, too. The uplink sends again what this store still has.
        """
        through = dict(page.streams)
        for epoch, acknowledged in self._acknowledged.items():
            if through.get(epoch, 0) < acknowledged:
                has = f"it has {through.get(epoch, 0)}, and had acknowledged {acknowledged}"
                return f"{page.authority} has lost events of epoch {epoch}: {has}"
        return ""

    def _read_acknowledged(self) -> dict[str, int]:
        """Return the newest epochs of which the platform has acknowledged events, with how many."""
        epoch, _ = outbox.current_epoch(self._store)
        current = (epoch, outbox.acknowledged_through(self._store, epoch))
        found = [*outbox.epochs_before(self._store), current]
        return dict([stream for stream in found if stream[1]][-MOST_EPOCHS:])

    def _verified(self, reply: RestoreReply, now: Instant) -> RestorePage | DownlinkRefusal:
        try:
            raw = b64decode(reply.signed, validate=True)
        except (binascii.Error, ValueError):
            return DownlinkRefusal(MessageFault.WRONG_SHAPE, "signed: not base64")
        opened = RESTORE_PAGE.open_with_key(raw, self._anchors.trust, now=now)
        if isinstance(opened, DocumentRefusal):
            return DownlinkRefusal(opened.fault, opened.detail)
        page, key = opened
        if page.device != self._device or page.site != self._site:
            return DownlinkRefusal(MessageFault.WRONG_DEVICE, "a page for another device")
        if key.audiences is not None and self._site not in key.audiences:
            return DownlinkRefusal(MessageFault.WRONG_SITE, "the key is for another site")
        return page
