"""A platform that lies without end: what an acknowledgement may make a device write has bounds."""

import json

import pytest

from edge.domain.exception_case import Settlement
from edge.domain.upload_refusal import UploadRefusal
from edge.store import exception_cases, outbox
from sync.agent import epoch_allowance
from sync.agent.uplink import AckEffect
from sync.hub.ledger import listing
from sync.wire import codec
from sync.wire.messages import (
    MOST_CONFLICTS,
    MOST_REFUSALS,
    Ack,
    Conflict,
    MessageFault,
    MessageRefusal,
    RefusedItem,
)
from tests.support.two_ledgers import CTI, NOW, World

ANSWERS = 50


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def current(world):
    return outbox.current_epoch(world.stores["kiosk-1"])


def epochs(world):
    with world.stores["kiosk-1"].read() as connection:
        return connection.execute("SELECT count(*) FROM epoch").fetchone()[0]


def rows(world, table):
    with world.stores["kiosk-1"].read() as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def lie(world, **how):
    """Hand the device an acknowledgement of its current epoch that is not the platform's."""
    epoch, _ = current(world)
    ack = Ack(**{"dev": "kiosk-1", "epoch": epoch, "committed_through": 0, **how})
    world.down.append(("kiosk-1", codec.encode(ack)))
    return world.hear()


def reused(world):
    rows = outbox.pending(world.stores["kiosk-1"], limit=MOST_REFUSALS)
    return [
        RefusedItem(seq=row.seq, reason=UploadRefusal.SEQUENCE_REUSED, id=row.id) for row in rows
    ]


def conflict(number, seq=1, other="kiosk-2"):
    return Conflict(
        number=number, cti=CTI.hex(), epoch="e1", seq=seq, other_dev=other, other_ts=NOW.unix_s
    )


def problems(world):
    return world.uplinks["kiosk-1"].problems(world.time_s)


def test_a_platform_that_claims_events_without_end_gets_few_epochs(world):
    world.event()
    effects = [lie(world, committed_through=10**6) for _ in range(ANSWERS)]
    assert effects.count(AckEffect.AHEAD) == epoch_allowance.AT_ONCE
    assert effects[-1] is AckEffect.NOT_BELIEVED
    assert "acknowledgement_not_believed" in problems(world)
    world.calm()
    assert [row["type"] for row in listing.list_events(world.hub, dev="kiosk-1")] == ["redeemed"]


def test_an_epoch_without_an_event_leaves_no_row(world):
    for _ in range(ANSWERS):
        lie(world, committed_through=10**6)
        world.time_s += epoch_allowance.ANOTHER_AFTER_S
    assert epochs(world) == 1


def test_an_old_copy_that_is_put_back_once_a_day_gets_its_epoch_each_time(world):
    for _ in range(10):
        world.event()
        assert lie(world, committed_through=10**6) is AckEffect.AHEAD
        world.time_s += 86_400


def test_a_platform_that_calls_each_number_used_multiplies_events_a_few_times_only(world):
    for use in range(20):
        world.event(use=use + 1)
    for _ in range(ANSWERS):
        lie(world, rejected=reused(world), committed_through=20, first=1, last=20)
    assert rows(world, "outbox") == 20 * (1 + epoch_allowance.AT_ONCE)
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 20
    world.calm()
    at_the_hub = [row["body"]["use"] for row in listing.list_events(world.hub, dev="kiosk-1")]
    assert sorted(at_the_hub) == list(range(1, 21))


def test_an_acknowledgement_that_is_not_believed_acknowledges_nothing(world):
    world.event()
    for _ in range(ANSWERS):
        lie(world, committed_through=10**6)
    world.tick()
    world.up.clear()
    how = {"committed_through": 10**6, "first": 1, "last": 1}
    assert lie(world, **how) is AckEffect.NOT_BELIEVED
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 1


def test_what_is_refused_of_another_store_does_not_even_lock(world):
    world.event()
    statements = []
    world.stores["kiosk-1"].connection().set_trace_callback(statements.append)
    refused = [RefusedItem(seq=seq, reason="body_invalid") for seq in range(2, MOST_REFUSALS)]
    lie(world, rejected=refused)
    lie(world, epoch="unknown", rejected=refused)
    assert rows(world, "exception") == 0
    assert statements
    assert "BEGIN IMMEDIATE" not in statements


@pytest.mark.parametrize(
    "lists",
    [
        {"rejected": [{"seq": 1, "reason": "no"}] * (MOST_REFUSALS + 1)},
        {"conflicts": [conflict(1).model_dump()] * (MOST_CONFLICTS + 1)},
    ],
    ids=["refusals", "conflicts"],
)
def test_a_list_that_is_too_long_refuses_the_message(lists):
    ack = Ack(dev="kiosk-1", epoch="e1", committed_through=0).model_dump() | lists
    found = codec.decode_addressed(Ack, json.dumps(ack).encode(), dev="kiosk-1")
    assert isinstance(found, MessageRefusal)
    assert found.fault is MessageFault.WRONG_SHAPE


def flood_of_conflicts(world, through, other="kiosk-2"):
    for start in range(1, through + 1, MOST_CONFLICTS):
        numbers = range(start, min(start + MOST_CONFLICTS, through + 1))
        lie(world, conflicts=[conflict(number, other=other) for number in numbers])


def acknowledged_conflicts(world):
    world.uplinks["kiosk-1"].send_all_again()
    world.up.clear()
    world.tick()
    return codec.decode_batch(world.up[-1][1], dev="kiosk-1").conflicts_through


def test_conflicts_beyond_what_may_be_open_wait_at_the_platform(world):
    flood_of_conflicts(world, 1200)
    assert rows(world, "exception") == exception_cases.MOST_OPEN_CONFLICTS
    assert "conflicts_wait" in problems(world)
    assert acknowledged_conflicts(world) == exception_cases.MOST_OPEN_CONFLICTS


def test_conflicts_that_waited_come_when_a_person_has_settled_some(world):
    most = exception_cases.MOST_OPEN_CONFLICTS
    flood_of_conflicts(world, most)
    with world.stores["kiosk-1"].transaction() as connection:
        exception_cases.settle_case(
            connection, 1, Settlement.ACCEPTED, by="supervisor", note="false", now=NOW
        )
    lie(world, conflicts=[conflict(most + 1), conflict(most + 2)])
    assert rows(world, "exception") == most + 1
    assert acknowledged_conflicts(world) == most + 1


def test_a_conflict_is_raised_though_a_false_one_had_its_number(world):
    flood_of_conflicts(world, 3, other="kiosk-9")
    lie(world, conflicts=[conflict(2), conflict(3)])
    assert rows(world, "exception") == 5
