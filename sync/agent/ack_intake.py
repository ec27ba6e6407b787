"""What an acknowledgement makes a device write: refused events, conflicts, a new epoch.

It is not signed, so each of these has a bound, and all of it is written a few rows at a time: no
acknowledgement can keep a scan waiting. What is beyond a bound has no
effect and is not acknowledged. The platform repeats it, so nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge.domain.upload_refusal import UploadRefusal
from edge.store import exception_cases, outbox
from edge.store.database.chunks import Chunks
from edge.store.database.store import Store
from edge.store.epochs import own_events, resend_renumbered
from edge.store.exception_cases import ReportedConflict
from edge.store.refused_events import set_aside
from edge.values.instant import Instant
from sync.agent.epoch_allowance import EpochAllowance
from sync.wire.messages import Ack, Conflict, RefusedItem

NOT_BELIEVED: Final = "acknowledgement_not_believed"
CONFLICTS_WAIT: Final = "conflicts_wait"
_SHOWN_S: Final = 3600.0  # an acknowledgement that was not believed is a problem for this long


class AckIntake:
    """Applies what acknowledgements report, within bounds. Raises StoreUnavailableError."""

    def __init__(
        self,
        store: Store,
        *,
        random_bytes: Callable[[int], bytes],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._store = store
        self._random_bytes = random_bytes
        self._chunks = Chunks(store, monotonic_s)
        self._allowance = EpochAllowance()
        self._not_believed: tuple[float, str] | None = None  # until when, and what to do
        self._conflicts_wait = False
        self.conflicts_through = 0  # number of the newest conflict that was recorded

    def problems(self, monotonic_s: float) -> dict[str, str]:
        """Return what acknowledgements ask in vain, as name to detail."""
        found = {}
        if self._not_believed is not None and monotonic_s < self._not_believed[0]:
            found[NOT_BELIEVED] = self._not_believed[1]
        if self._conflicts_wait:
            found[CONFLICTS_WAIT] = (
                f"{exception_cases.MOST_OPEN_CONFLICTS} conflicts are open, and the platform"
                " reports more: settle some of them"
            )
        return found

    def may_begin_epoch(self, ack: Ack, monotonic_s: float) -> bool:
        """Return False for an acknowledgement that asks for one more epoch than it may.

        It then has no effect at all: what it is about is sent and compared again.
        """
        epoch, newest = outbox.current_epoch(self._store)
        if ack.epoch != epoch:
            return True
        asks = ack.committed_through > newest or own_events(self._store, epoch, _reused(ack))
        if not asks or self._allowance.take(monotonic_s):
            return True
        detail = (
            "acknowledgements ask for new numberings of events too often: check who may publish"
            " to this device, and that no other device has its certificate"
        )
        self._not_believed = (monotonic_s + _SHOWN_S, detail)
        return False

    def set_aside_refused(self, ack: Ack, now: Instant) -> list[RefusedItem]:
        """Set aside what the platform refuses, and return what is new of it.

        An event under a number that the platform has for another is sent under a new number.
        """
        reused = _reused(ack)
        moved = resend_renumbered(
            self._chunks, ack.epoch, reused, now=now, random_bytes=self._random_bytes
        )
        others = {item.seq: item for item in ack.rejected if item.seq not in reused}
        own = own_events(self._store, ack.epoch, {seq: each.id for seq, each in others.items()})
        self._chunks.apply(
            own,
            lambda connection, seq: set_aside(
                connection,
                epoch=ack.epoch,
                seq=seq,
                reason=others[seq].reason,
                now=now,
                id=others[seq].id,
            ),
        )
        fresh = {*moved, *own}
        return [item for item in ack.rejected if item.seq in fresh]

    def raise_conflicts(self, ack: Ack, now: Instant) -> list[int]:
        """Raise the platform's conflicts as cases. Return the numbers of those that are new."""
        reported = sorted(map(_conflict, ack.conflicts), key=lambda conflict: conflict.no)
        fresh = exception_cases.unrecorded_conflicts(self._store, reported)
        room = exception_cases.room_for_conflicts(self._store) if fresh else 0
        recorded, waiting = fresh[:room], fresh[room:]
        self._chunks.apply(
            recorded,
            lambda connection, each: exception_cases.record_conflict(connection, each, now),
        )
        for conflict in reported[: reported.index(waiting[0]) if waiting else None]:
            self.conflicts_through = max(self.conflicts_through, conflict.no)
        if reported:
            self._conflicts_wait = bool(waiting)
        return [conflict.no for conflict in recorded]


def _reused(ack: Ack) -> dict[int, str]:
    """Return the ids, by number, of the events whose number the platform has for another."""
    return {
        item.seq: item.id
        for item in ack.rejected
        if item.reason == UploadRefusal.SEQUENCE_REUSED and item.id
    }


def _conflict(item: Conflict) -> ReportedConflict:
    return ReportedConflict(
        no=item.number,
        cti=bytes.fromhex(item.cti),
        epoch=item.epoch,
        seq=item.seq,
        other=item.other_dev,
        other_s=item.other_ts,
    )
