"""The record of refused requests: bounded noise, and an alarm that no noise pushes out.

Anyone who reaches the service can have requests refused. Of each kind, the 1st, 10th, 100th, ... is
stored and logged. A code that is shown again after its use is another matter: it may be stolen.
Only a holder of a genuine code can cause that alarm. It has a table of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from edge.values.tenfold import is_tenfold
from sync.hub.enrolment.client_proof import EnrolmentRefusal
from sync.hub.store.fleet import enrolment_table
from sync.hub.store.fleet.enrolment_table import CODE_REUSED
from sync.hub.store.fleet.fleet_store import FleetStore

MOST_KINDS: Final = 2000  # of a day; beyond it, senders are not told apart any more
_DAY_S: Final = 86_400


class RefusalRecord:
    """Stores and logs refusals. ``now_s`` is Unix time."""

    def __init__(
        self, store: FleetStore, *, now_s: Callable[[], int], log: FilteringBoundLogger
    ) -> None:
        self._store = store
        self._now_s = now_s
        self._log = log
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._day = 0

    def add(self, refusal: EnrolmentRefusal, address: str) -> None:
        """Record a refusal. Raises HubStoreError."""
        if refusal.reason == CODE_REUSED:
            self._raise_alarm(refusal, address)
        if (day := self._now_s() // _DAY_S) != self._day:
            self._day = day
            self._counts.clear()
        kind: tuple[str, ...] = (refusal.reason, address, refusal.dev)
        if kind not in self._counts and len(self._counts) >= MOST_KINDS:
            kind = (refusal.reason,)
        self._counts[kind] += 1
        times = self._counts[kind]
        if not is_tenfold(times):
            return
        with self._store.transaction() as connection:
            enrolment_table.insert_refusal(
                connection,
                refusal.reason,
                at_s=self._now_s(),
                dev=refusal.dev,
                code=refusal.code,
                address=address,
                detail=refusal.detail,
                times=times,
            )
        self._log.warning(
            "enrolment_refused",
            reason=refusal.reason,
            dev=refusal.dev,
            address=address,
            times=times,
        )

    def _raise_alarm(self, refusal: EnrolmentRefusal, address: str) -> None:
        with self._store.transaction() as connection:
            times = enrolment_table.put_alarm(
                connection, refusal.code, dev=refusal.dev, address=address, at_s=self._now_s()
            )
        if is_tenfold(times):
            self._log.error(
                "enrolment_code_reused",
                dev=refusal.dev,
                code=refusal.code,
                address=address,
                times=times,
                remedy="edge-fleet enrol --list; edge-fleet revoke",
            )
