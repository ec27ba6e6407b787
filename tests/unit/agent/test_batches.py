"""A batch is closed before it grows beyond what a hub reads, and no event holds up others."""

import os

import pytest

from edge.store import outbox
from edge.store.outbox import OutboxRow
from edge.values.instant import Instant
from sync.agent.uplink import events_of
from sync.wire import codec
from sync.wire.messages import MOST_EVENTS, Batch
from tests.support.sample_shop import code, deliver, open_at, order, redeemer

NOW = Instant(unix_s=1_800_000_000)


def row(seq: int, **body) -> OutboxRow:
    return OutboxRow(epoch="e1", seq=seq, id=f"id-{seq}", type="redeemed", body=body, at=NOW)


def sent(rows: list[OutboxRow], after_seq: int) -> list[int]:
    """Send everything, a batch at a time; return the numbers that the hub read."""
    numbers: list[int] = []
    while after_seq < rows[-1].seq:
        left = [row for row in rows if row.seq > after_seq]
        events = events_of(left, after_seq=after_seq)
        payload = codec.encode_batch("k", "e1", 0, 0, [encoded for _, encoded in events])
        assert len(payload) < 50 * 1024
        batch = codec.decode_batch(payload, dev="k")
        assert isinstance(batch, Batch), batch
        numbers += [event.seq for event in batch.events]
        after_seq = numbers[-1]
    return numbers


def test_the_largest_events_are_sent_one_at_a_time():
    rows = [row(seq, text="满" * 10_000) for seq in range(1, 6)]
    assert sent(rows, 0) == [1, 2, 3, 4, 5]
    assert len(events_of(rows, after_seq=0)) == 1


def test_6_500_numbers_that_the_platform_refused_before_make_many_batches():
    assert sent([row(7), row(6_500)], 0) == list(range(1, 6_501))


def test_a_batch_has_no_more_events_than_a_hub_takes():
    assert len(events_of([row(seq) for seq in range(1, 3_000)], after_seq=0)) <= MOST_EVENTS


@pytest.mark.parametrize(
    "damage", ["body = 'z' || substr(body, 2)", "body = '[1]'", "trust = 'tsusted'"]
)
def test_an_event_that_the_disk_damaged_is_withheld_by_name_and_holds_up_no_other(tmp_path, damage):
    store = open_at(tmp_path)
    for _ in range(2):
        deliver(store, order(claims := code(cti=os.urandom(16))))
        assert redeemer(store).redeem(claims, NOW).is_accepted
    with store.transaction() as connection:
        connection.execute(f"UPDATE outbox SET {damage} WHERE seq = 1")
    events = [encoded for _, encoded in events_of(outbox.pending(store), after_seq=0)]
    batch = codec.decode_batch(codec.encode_batch("k", "e1", 0, 0, events), dev="k")
    assert [(event.seq, event.type) for event in batch.events] == [
        (1, "withheld"),
        (2, "redeemed"),
    ]
    store.close()
