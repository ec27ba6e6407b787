"""Stores batches of events a turn at a time, and sends what devices must know of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from sync.hub.arbitration import grants
from sync.hub.ledger import acknowledgements
from sync.hub.ledger.ingest import BatchIngest
from sync.hub.server.outgoing import OutgoingMessages
from sync.hub.store.interface import HubConnection, HubStore
from sync.wire import codec
from sync.wire.messages import Ack
from sync.wire.topics import Down

NOTIFY_EVERY_S: Final = 0.5  # at most this often, a device is sent its new conflicts unasked


class BatchHandler:
    """Handles batches. ``now_s`` is Unix time, ``monotonic`` seconds."""

    def __init__(
        self,
        outgoing: OutgoingMessages,
        *,
        now_s: Callable[[], int],
        monotonic: Callable[[], float],
        log: FilteringBoundLogger,
    ) -> None:
        self._outgoing = outgoing
        self._now_s = now_s
        self._monotonic = monotonic
        self._log = log
        self._to_notify: set[str] = set()  # devices with a new conflict
        self._notify_due_s = 0.0
        self.events = Counter(new=0, repeated=0, refused=0)

    def handle(self, connection: HubConnection, ingest: BatchIngest, *, until_s: float) -> bool:
        """Store events until ``until_s`` (monotonic). Return whether all are stored."""
        result = ingest.advance(
            connection, self._now_s(), may_continue=lambda: self._monotonic() < until_s
        )
        if result is None:
            return False
        dev = ingest.batch.dev
        self.events.update(new=result.fresh, repeated=result.repeated, refused=result.refused)
        if result.refused:
            first = [item.model_dump() for item in result.ack.rejected[:10]]
            self._log.warning("events_refused", dev=dev, refused=first)
        self._acknowledge(result.ack)
        grants.release_finished(
            connection, ingest.batch, committed_through=result.ack.committed_through
        )
        for other in sorted(result.also_notify):
            self._log.warning("double_redemption", dev=dev, other=other)
        self._to_notify |= result.also_notify
        return True

    def notify_due(self, store: HubStore) -> None:
        """Send the devices concerned their new conflicts, together and not too often.

        A device that redeems a code of others without end must not fill their lines.
        """
        if not self._to_notify or self._monotonic() < self._notify_due_s:
            return
        self._notify_due_s = self._monotonic() + NOTIFY_EVERY_S
        with store.read() as connection:
            for dev in sorted(self._to_notify):
                self._notify(connection, dev)
        self._to_notify.clear()

    def _notify(self, connection: HubConnection, dev: str) -> None:
        """Send a device its new conflicts in an acknowledgement that acknowledges nothing new."""
        stream = acknowledgements.latest_epoch(connection, dev)
        if stream is not None:
            epoch, through = stream
            self._acknowledge(
                acknowledgements.acknowledgement(
                    connection, dev, epoch, committed_through=through, acknowledged_through=through
                )
            )

    def _acknowledge(self, ack: Ack) -> None:
        self._outgoing.add(ack.dev, Down.ACK, codec.encode(ack))
