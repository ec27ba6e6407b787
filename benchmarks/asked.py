"""What the processes of a device ask of its store, each second, with each scan, with each reply."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final

from benchmarks.grown_store import NOW_S, cti, fresh_cti
from edge.config import Policy
from edge.domain.decision_facts import DecisionTerms
from edge.domain.entitlement import OrderStatus
from edge.domain.redemption_state import DevicePlace
from edge.redemption.redeemer import Redeemer
from edge.store import (
    authorisations,
    documents,
    exception_cases,
    order_cache,
    outbox,
    retention,
    scan_journal,
)
from edge.store.authorisations import AuthorisationRequest
from edge.store.database.store import Store
from edge.store.epochs import own_events
from edge.store.exception_cases import ReportedConflict
from edge.store.lock_intents import unfinished
from edge.store.refused_events import set_aside
from edge.store.reviews import report_refused_decision
from edge.store.sessions import current_session
from edge.store.time_floor import raise_time_floor, time_floor_s
from edge.token.claims import Claims, Kind
from edge.values.instant import Instant

NOW: Final = Instant(unix_s=NOW_S)
FRESH: Final = 2000  # codes that ``Asked.redeem`` can redeem


class Asked:
    """One store and what is asked of it. ``rows``: redemptions that it holds (``grow``)."""

    def __init__(self, store: Store, rows: int) -> None:
        self._store, self._rows = store, rows
        self._epoch, _ = outbox.current_epoch(store)
        self._redeemer = Redeemer(
            store,
            DecisionTerms(DevicePlace(device_id="bench", site_id="site"), Policy()),
            random_bytes=os.urandom,
        )
        self._numbers: Iterator[int] = iter(range(1, FRESH + 1))
        self._old = rows
        self._seqs = count(rows // 2)  # of events that the platform has not refused yet

    def all(self) -> dict[str, Callable[[], object]]:
        """Return each question by its name."""
        return {
            "redeem": self.redeem,
            "redeemed_before": self.redeem_again,
            "backlog": self.backlog,
            "second_of_scanner": self.second_of_scanner,
            "second_of_sync": self.second_of_sync,
            "acknowledgement": self.acknowledgement,
            "order_page": self.order_page,
            "authorisation": self.authorisation,
            "prune": self.prune,
        }

    def redeem(self) -> None:
        """Redeem a code for the first time."""
        outcome = self._redeemer.redeem(_claims(fresh_cti(next(self._numbers), FRESH)), NOW)
        assert outcome.is_accepted, outcome.detail

    def redeem_again(self) -> None:
        """Refuse a code that was redeemed long ago."""
        outcome = self._redeemer.redeem(_claims(self._next_old()), NOW)
        assert not outcome.is_accepted

    def backlog(self) -> None:
        """Count what waits for the platform."""
        outbox.backlog(self._store)

    def second_of_scanner(self) -> None:
        """Ask what the supervisor and the doors of edge-scanner ask each second."""
        self._store.data_version()
        order_cache.feed_state(self._store)
        outbox.backlog(self._store)
        current_session(self._store, NOW)
        unfinished(self._store)
        scan_journal.complete(self._store, [(1, 5.0, "go")])
        raise_time_floor(self._store, 1)

    def second_of_sync(self) -> None:
        """Ask what edge-sync asks each second, connected and idle."""
        self._store.data_version()
        outbox.pending(self._store, limit=16)
        outbox.backlog(self._store)
        order_cache.feed_state(self._store)
        documents.documents_named(self._store, "")
        outbox.acknowledged_through(self._store, self._epoch)
        outbox.epochs_before(self._store)
        authorisations.open_requests(self._store, time.monotonic_ns())
        authorisations.released_through(self._store, time.monotonic_ns())
        order_cache.delete_stale(self._store)
        time_floor_s(self._store)

    def acknowledgement(self) -> None:
        """Apply an acknowledgement that refuses an event and reports a conflict."""
        seq = next(self._seqs)
        own_events(self._store, self._epoch, {seq: ""})
        conflict = ReportedConflict(
            no=seq,
            cti=cti(seq, self._rows),
            epoch=self._epoch,
            seq=seq,
            other="kiosk-2",
            other_s=1,
        )
        exception_cases.unrecorded_conflicts(self._store, [conflict])
        exception_cases.room_for_conflicts(self._store)
        with self._store.transaction() as connection:
            set_aside(connection, epoch=self._epoch, seq=seq, reason="no", now=NOW)
            exception_cases.record_conflict(connection, conflict, NOW)
        outbox.acknowledge(self._store, epoch=self._epoch, through_seq=self._rows - 9)
        outbox.rewind(self._store, epoch=self._epoch, to_seq=self._rows - 10)
        report_refused_decision(
            self._store,
            decision=f"d-{seq}",
            reason="not found",
            now=NOW,
            random_bytes=os.urandom,
        )

    def order_page(self) -> None:
        """Apply a cancellation of an order that was redeemed long ago."""
        with self._store.transaction() as connection:
            row: list[Any] = [self._next_old(), "A-1042", 1, None, OrderStatus.CANCELLED.value]
            exception_cases.raise_cancelled(connection, [row], NOW)

    def authorisation(self) -> None:
        """Write an authorisation request and look for its grant."""
        request = AuthorisationRequest(
            id=os.urandom(16).hex(), cti=self._next_old(), due_ns=time.monotonic_ns()
        )
        authorisations.write_request(self._store, request, NOW)
        with self._store.read() as connection:
            authorisations.find_grant(connection, request.cti, 1)

    def prune(self) -> None:
        """Find that every table is within its bounds, or delete a few rows."""
        for bound in retention.BOUNDS:
            retention.prune(self._store, bound, NOW)

    def _next_old(self) -> bytes:
        self._old -= 1
        return cti(1 + self._old * 617 % self._rows, self._rows)


def _claims(identity: bytes) -> Claims:
    return Claims(
        cti=identity,
        kid=b"kid0",
        issuer="shop",
        audience="site",
        not_before_s=0,
        expires_at_s=2**33 - 1,
        issued_at_s=NOW_S,
        order_id="A-1042",
        kind=Kind.WRITE_OFF,
        quantity=1,
        amount_minor=1250,
        currency="EUR",
        flags=0,
        status_index=7,
        dynamic_mode=None,
        holder_key=None,
    )
