"""An attacker acknowledges in the platform's place (adr/0043): in the end nothing is lost.

They know all that goes by: epoch, numbers, tag. What they say is believed, for it is not signed;
the next word of the platform itself puts it right.
"""

import os

import pytest

from edge.domain.upload_refusal import UploadRefusal
from edge.store import exception_cases, outbox
from edge.store.epochs import end_epoch
from edge.store.refused_events import find_refused_event, send_refused_again
from sync.agent.uplink import AckEffect
from sync.hub.ledger import listing
from sync.hub.store import redemption_table
from sync.wire import codec
from sync.wire.messages import Ack, Conflict, RefusedItem
from tests.support.two_ledgers import CTI, NOW, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def intercepted(world):
    """Return what the device has just sent, which does not arrive."""
    world.tick()
    (batch,) = [codec.decode_batch(payload, dev="kiosk-1") for _, payload in world.up]
    world.up.clear()
    return batch


def falsely(world, batch, **how):
    """Return an acknowledgement of it that is not the platform's."""
    numbers = [event.seq for event in batch.events]
    ack = Ack(
        dev="kiosk-1",
        epoch=batch.epoch,
        committed_through=max(numbers),
        first=min(numbers),
        last=max(numbers),
        acknowledged_through=batch.acknowledged_through,
        tag=batch.tag,
        **how,
    )
    world.down.append(("kiosk-1", codec.encode(ack)))
    return world.hear()


def reconnect(world):
    world.uplinks["kiosk-1"].start_over(world.time_s)
    world.calm()


def retry(world):
    """Settle the case by sending the event again, then let the platform reply."""
    store = world.stores["kiosk-1"]
    (case,) = exception_cases.cases(store)
    with store.transaction() as connection:
        refused = find_refused_event(connection, case.cause)
        send_refused_again(connection, refused, id="retried")
    world.uplinks["kiosk-1"].note_commit()
    reconnect(world)


def at_the_platform(world):
    return [(row["type"], row["refused"]) for row in listing.list_events(world.hub, dev="kiosk-1")]


def test_events_that_were_falsely_acknowledged_are_resent_once_the_platform_replies(world):
    for _ in range(3):
        world.event(cti=os.urandom(16))
    assert falsely(world, intercepted(world)) is AckEffect.ACKNOWLEDGED
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 0
    assert at_the_platform(world) == []
    reconnect(world)
    world.assert_equal()
    assert len(at_the_platform(world)) == 3


def test_an_epoch_that_was_left_is_asked_after_too(world):
    """Its false settlement would else never be seen: the device speaks of its newest epoch."""
    world.event(cti=os.urandom(16))
    falsely(world, intercepted(world))
    epoch = outbox.current_epoch(world.stores["kiosk-1"])[0]
    end_epoch(
        world.stores["kiosk-1"], epoch, why="restored: a test", now=NOW, random_bytes=os.urandom
    )
    world.event(cti=os.urandom(16))
    reconnect(world)
    assert at_the_platform(world) == [("redeemed", None)] * 2


def test_what_was_falsely_refused_is_a_case_and_comes_to_the_platform_when_a_person_retries_it(
    world,
):
    world.event()
    falsely(world, intercepted(world), rejected=[RefusedItem(seq=1, reason="body_invalid")])
    assert [case.kind for case in exception_cases.cases(world.stores["kiosk-1"])] == [
        "upload_refused"
    ]
    retry(world)
    assert at_the_platform(world) == [("withheld", "already_refused"), ("redeemed", None)]


def test_an_event_whose_number_was_falsely_called_used_counts_once(world):
    """The device resends it under a new number; the platform may have it under the first."""
    world.event()
    world.tick()
    world.ingest()
    world.down.clear()
    (row,) = outbox.pending(world.stores["kiosk-1"])
    reused = RefusedItem(seq=1, reason=UploadRefusal.SEQUENCE_REUSED, id=row.id)
    ack = Ack(
        dev="kiosk-1", epoch=row.epoch, committed_through=1, first=1, last=1, rejected=[reused]
    )
    world.down.append(("kiosk-1", codec.encode(ack)))
    world.hear()
    reconnect(world)
    assert sorted(at_the_platform(world), key=str) == [
        ("redeemed", "already_reported"),
        ("redeemed", None),
    ]
    with world.hub.read() as connection:
        assert redemption_table.total_redeemed(connection, CTI) == (1, 0)


def test_what_was_falsely_refused_and_retried_by_a_person_counts_once_where_the_platform_has_it(
    world,
):
    world.event()
    world.tick()
    batch = codec.decode_batch(world.up[0][1], dev="kiosk-1")
    world.ingest()
    world.down.clear()
    falsely(world, batch, rejected=[RefusedItem(seq=1, reason="body_invalid")])
    retry(world)
    assert at_the_platform(world) == [("redeemed", None), ("redeemed", "already_reported")]
    with world.hub.read() as connection:
        assert redemption_table.total_redeemed(connection, CTI) == (1, 0)


def test_a_number_that_the_device_never_wrote_changes_nothing_and_loses_nothing(world):
    world.event(cti=os.urandom(16))
    batch = intercepted(world)
    ack = Ack(
        dev="kiosk-1", epoch=batch.epoch, committed_through=99, first=1, last=99, tag=batch.tag
    )
    world.down.append(("kiosk-1", codec.encode(ack)))
    assert world.hear() is AckEffect.AHEAD
    reconnect(world)
    assert at_the_platform(world) == [("redeemed", None)]


def test_a_false_conflict_is_a_case_and_undoes_nothing(world):
    world.event()
    batch = intercepted(world)
    conflict = Conflict(
        number=1, cti="00" * 16, epoch=batch.epoch, seq=1, other_dev="kiosk-2", other_ts=NOW.unix_s
    )
    falsely(world, batch, conflicts=[conflict])
    reconnect(world)
    assert at_the_platform(world) == [("redeemed", None)]
