"""What the hub acknowledges to a device: how far its events are stored, refusals and conflicts.

A refusal is repeated until the device holds it as acknowledged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from sync.hub.store import conflict_table, event_table, status_table
from sync.hub.store.interface import HubConnection
from sync.wire import codec
from sync.wire.messages import (
    MAX_SEQ,
    MOST_CONFLICTS,
    MOST_REFUSALS,
    Ack,
    Conflict,
    RefusedItem,
)

_NUMBERS: Final = 1000  # looked at in one go, for gaps


def acknowledgement(
    connection: HubConnection,
    dev: str,
    epoch: str,
    *,
    committed_through: int,
    acknowledged_through: int,
) -> Ack:
    """Return the acknowledgement for ``dev``. It repeats refusals until the device holds them."""
    ack, _ = for_batch(
        connection,
        dev,
        epoch,
        committed_through=committed_through,
        acknowledged_through=acknowledged_through,
    )
    return ack


def for_batch(
    connection: HubConnection,
    dev: str,
    epoch: str,
    *,
    committed_through: int,
    acknowledged_through: int,
    reused: Iterable[RefusedItem] = (),
) -> tuple[Ack, int]:
    """Return the acknowledgement, and the first refused number that does not fit into it.

    No number from that one on may count as compared: the device would take it as accepted.
    """
    rows = event_table.refused_events(
        connection, dev, epoch, after_seq=acknowledged_through, limit=MOST_REFUSALS + 1
    )
    rejected = {
        seq: RefusedItem(seq=seq, reason=reason, id="" if kind == codec.WITHHELD else identity)
        for seq, kind, identity, reason in rows
    }
    rejected |= {item.seq: item for item in reused}  # not the refusal of another event
    in_order = [rejected[seq] for seq in sorted(rejected)]
    unnamed = in_order[MOST_REFUSALS].seq if len(in_order) > MOST_REFUSALS else MAX_SEQ + 1
    conflicts = conflict_table.open_conflicts(connection, dev, MOST_CONFLICTS)
    ack = Ack(
        dev=dev,
        epoch=epoch,
        committed_through=committed_through,
        acknowledged_through=acknowledged_through,
        rejected=in_order[:MOST_REFUSALS],
        conflicts=[
            Conflict(number=no, cti=cti.hex(), epoch=of, seq=seq, other_dev=other, other_ts=ts)
            for no, cti, of, seq, other, ts in conflicts
        ],
    )
    return ack, unnamed


def advance(connection: HubConnection, dev: str, epoch: str) -> int:
    """Acknowledge up to the first gap in the numbers and return that number."""
    known = event_table.committed_through(connection, dev, epoch)
    start = through = known or 0
    while numbers := _following(connection, dev, epoch, through):
        through = numbers[-1]
        if len(numbers) < _NUMBERS:
            break
    if known is None or through != start:
        event_table.set_committed_through(connection, dev, epoch, through)
    return through


def latest_epoch(connection: HubConnection, dev: str) -> tuple[str, int] | None:
    """Return the epoch that ``dev`` last sent events in, and its acknowledged number."""
    streams = event_table.streams_of(connection, dev)
    named = current_epoch(connection, dev)
    epoch = named if named in streams else next(iter(streams), None)
    return None if epoch is None else (epoch, streams[epoch])


def current_epoch(connection: HubConnection, dev: str) -> str | None:
    """Return the epoch that the last status of ``dev`` names."""
    row = status_table.status_of(connection, dev)
    return None if row is None else str(json.loads(row[0])["epoch"])


def _following(connection: HubConnection, dev: str, epoch: str, through: int) -> list[int]:
    """Return the numbers right after ``through`` without a gap, at most ``_NUMBERS`` of them."""
    later = event_table.numbers_after(connection, dev, epoch, through, limit=_NUMBERS)
    return [seq for place, seq in enumerate(later, 1) if seq == through + place]
