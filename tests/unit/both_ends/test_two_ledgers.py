"""Uplink and ingest over a channel that loses, doubles and reorders: equal ledgers (law 2)."""

import os
import sqlite3
import time
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain import exception_case
from edge.domain.upload_refusal import UploadRefusal
from edge.store import exception_cases, outbox
from edge.store.database.chunks import Chunks
from edge.store.epochs import resend_renumbered
from edge.store.exception_cases import ReportedConflict, record_conflict
from edge.store.opening import open_store
from edge.values.uuid7 import uuid7
from sync.agent.timings import AGENT_TIMINGS
from sync.agent.uplink import SLOW_LINE, AckEffect, Uplink
from sync.hub.ledger import acknowledgements, ingest, listing
from sync.hub.store.opening import open_hub_store
from sync.hub.store.sqlite import FILE
from sync.wire import codec
from sync.wire.messages import Ack, Batch, Event, Status
from tests.support.refusals import set_aside
from tests.support.two_ledgers import CTI, NOW, World, order, sell

steps = st.lists(
    st.sampled_from(
        [
            "event",
            "tick",
            "ingest",
            "ingest last",
            "lose",
            "lose last",
            "double",
            "hear",
            "hear last",
            "lose ack",
            "double ack",
            "restart",
            "reconnect",
            "wait",
        ]
    ),
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_whatever_the_channel_does_the_ledgers_end_equal(memory_folder, taken):
    world = World(memory_folder())
    for step in taken:
        match step:
            case "event":
                world.event(cti=os.urandom(16))
            case "tick":
                world.tick()
            case "ingest" | "ingest last" if world.up:
                world.ingest(0 if step == "ingest" else -1)
            case "lose" | "lose last" if world.up:
                world.up.pop(0 if step == "lose" else -1)
            case "double" if world.up:
                world.up.append(world.up[0])
            case "hear" | "hear last" if world.down:
                world.hear(0 if step == "hear" else -1)
            case "lose ack" if world.down:
                world.down.pop()
            case "double ack" if world.down:
                world.down.append(world.down[0])
            case "restart":
                world.restart("kiosk-1")
            case "reconnect":
                world.uplinks["kiosk-1"].start_over(world.time_s)
            case "wait":
                world.time_s += AGENT_TIMINGS.resend_s
    world.calm()
    world.assert_equal()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, ("kiosk-1", "kiosk-2"))


def test_what_is_still_on_its_way_over_a_slow_line_is_not_sent_again(tmp_path):
    world = World(tmp_path)
    world.uplinks["kiosk-1"] = Uplink(
        world.stores["kiosk-1"], "kiosk-1", window=600, random_bytes=os.urandom
    )
    for _ in range(600):
        world.event(cti=os.urandom(16))
    world.tick()
    sent = len(world.up)
    needed_s = sum(len(payload) for _, payload in world.up) / SLOW_LINE
    assert needed_s > AGENT_TIMINGS.resend_s
    world.time_s += needed_s
    world.tick()
    assert len(world.up) == sent
    world.time_s += AGENT_TIMINGS.resend_s
    world.tick()
    assert len(world.up) == 2 * sent
    world.ingest()
    world.hear()  # and the first is there: only the rest is waited for
    world.time_s += AGENT_TIMINGS.resend_s + 0.7 * needed_s
    world.tick()
    assert len(world.up) == 2 * sent - 1 + sent - 1


def test_an_acknowledgement_reads_once_what_is_acknowledged(world, monkeypatch):
    reads, read = [], outbox.acknowledged_through
    world.event()
    world.tick()
    world.ingest()
    monkeypatch.setattr(outbox, "acknowledged_through", lambda *at: reads.append(at) or read(*at))
    assert world.hear() is AckEffect.ACKNOWLEDGED
    assert len(reads) == 1


def test_only_the_platforms_own_reply_acknowledges(world):
    """That the broker took it (here: ``send`` returned True) means nothing."""
    world.event()
    world.tick()
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 1
    world.ingest()
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 1
    assert world.hear() is AckEffect.ACKNOWLEDGED
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 0


def test_no_more_than_the_window_is_in_flight(world):
    for _ in range(12):
        world.event(cti=os.urandom(16))
    for _ in range(5):
        world.tick()
    sent = [codec.decode_batch(payload, dev="kiosk-1") for _, payload in world.up]
    assert sum(len(batch.events) for batch in sent) == 5


def test_events_after_a_gap_are_stored_but_not_acknowledged(world):
    world.event()
    world.tick()
    world.event(cti=os.urandom(16))
    world.tick()
    lost = world.up.pop(0)
    assert world.ingest().ack.committed_through == 0
    world.up.append(lost)
    assert world.ingest().ack.committed_through == 2


def test_a_refused_events_placeholder_is_no_second_identity(world):
    """The process died after the refusal: the number is sent again, without content."""
    world.event(body={"cti": "not a cti"})
    world.event()
    world.tick()
    taken = world.ingest()
    (refused,) = taken.ack.rejected
    set_aside(world.stores["kiosk-1"], epoch=taken.ack.epoch, seq=1, reason=refused.reason, now=NOW)
    world.down.clear()
    world.restart("kiosk-1")
    world.tick()
    again = world.ingest()
    assert [(item.seq, item.reason) for item in again.ack.rejected] == [(1, "body_invalid")]
    assert again.ack.committed_through == 2


def test_a_batch_that_comes_twice_has_one_effect(world):
    world.event()
    world.tick()
    world.up.append(world.up[0])
    assert (world.ingest().fresh, world.ingest().fresh) == (1, 0)
    assert len(list(listing.list_events(world.hub))) == 1


def test_a_refused_event_is_set_aside_and_does_not_block_those_behind_it(world):
    world.event()
    world.event(body={"cti": "not a cti"})
    world.event(cti=os.urandom(16))
    world.calm(3)
    world.assert_equal()
    store = world.stores["kiosk-1"]
    assert outbox.backlog(store).rejected == 1
    (case,) = exception_cases.cases(store)
    assert case.kind is exception_case.ExceptionKind.UPLOAD_REFUSED
    assert "body_invalid" in case.cause


def test_a_refusal_whose_acknowledgement_was_lost_is_repeated(world):
    world.event(body={"cti": "not a cti"})
    world.tick()
    world.ingest()
    world.down.clear()
    world.event()
    world.calm(3)
    assert outbox.backlog(world.stores["kiosk-1"]).rejected == 1


def test_an_event_too_large_for_the_wire_is_refused_by_name_and_stays(world):
    world.event(type="refused", body={"detail": "x" * codec.MAX_EVENT_BYTES})
    world.event()
    world.calm(3)
    (case,) = exception_cases.cases(world.stores["kiosk-1"])
    assert "message_too_large" in case.cause
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 0


def test_a_hub_restored_from_an_older_backup_gets_again_what_it_lost(world):
    for _ in range(2):
        world.event(cti=os.urandom(16))
    world.calm(3)
    (world.folder / "restored").mkdir()
    with (
        closing(sqlite3.connect(world.folder / "hub" / FILE)) as live,
        closing(sqlite3.connect(world.folder / "restored" / FILE)) as backup,
    ):
        live.backup(backup)
    for body in (None, None, {"cti": "refused before the loss"}, None):
        world.event(cti=os.urandom(16), body=body)
    world.calm(3)
    world.hub = open_hub_store(world.folder / "restored")
    world.uplinks["kiosk-1"].start_over(
        world.time_s
    )  # the hub is back: each device asks where it is
    world.tick()
    world.ingest()
    assert world.hear() is AckEffect.REWOUND
    world.calm()
    rows = list(listing.list_events(world.hub, dev="kiosk-1"))
    assert [row["seq"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["refused"] for row in rows] == [None, None, None, None, "already_refused", None]
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 0


def test_a_device_whose_old_store_was_restored_continues_under_a_new_epoch(world):
    world.event(cti=os.urandom(16))
    world.calm(2)
    (world.folder / "old").mkdir()
    with world.stores["kiosk-1"].read() as connection:
        backup = sqlite3.connect(world.folder / "old" / "store.db")
        connection.backup(backup)
        backup.close()
    for _ in range(3):
        world.event(cti=os.urandom(16))
    world.calm(2)
    opened = open_store(
        world.folder / "old", device_id="kiosk-1", now_s=NOW.unix_s, random_bytes=os.urandom
    )
    world.stores["kiosk-1"] = opened.store
    world.restart("kiosk-1")
    world.tick()
    world.ingest()
    assert world.hear() is AckEffect.AHEAD
    world.event(cti=os.urandom(16))
    world.calm(3)
    rows = list(listing.list_events(world.hub, dev="kiosk-1"))
    assert sorted((row["seq"], row["refused"]) for row in rows) == [
        (1, None),
        (1, None),
        (2, None),
        (3, None),
        (4, None),
    ]
    assert outbox.backlog(opened.store).pending == 0


def test_that_the_platform_has_a_number_does_not_acknowledge_another_event_under_it(world):
    """An old copy of the store wrote events before there was a network: they are not lost."""
    world.event(cti=os.urandom(16))
    (world.folder / "old").mkdir()
    with world.stores["kiosk-1"].read() as connection:
        backup = sqlite3.connect(world.folder / "old" / "store.db")
        connection.backup(backup)
        backup.close()
    for _ in range(3):
        world.event(cti=os.urandom(16))
    world.calm(2)
    opened = open_store(
        world.folder / "old", device_id="kiosk-1", now_s=NOW.unix_s, random_bytes=os.urandom
    )
    world.stores["kiosk-1"] = opened.store
    world.restart("kiosk-1")
    for _ in range(5):
        world.event(cti=os.urandom(16))
    world.calm(3)
    with opened.store.read() as connection:
        rows = connection.execute("SELECT id, seq, rejected FROM outbox ORDER BY seq").fetchall()
    moved = [identity for identity, _, rejected in rows if rejected == "sequence_reused"]
    assert len(moved) == 3
    assert sorted(identity for identity, _, rejected in rows if rejected is None) == sorted(
        {row[0] for row in rows}
    )
    held = [row["id"] for row in listing.list_events(world.hub) if row["refused"] is None]
    assert sorted(held) == sorted({*held, *(row[0] for row in rows)}), (
        "each once, in one epoch or the other"
    )
    (case,) = exception_cases.cases(opened.store)
    assert "another device has its identity" in case.cause
    assert outbox.backlog(opened.store).pending == 0


def test_an_old_acknowledgement_that_comes_late_takes_nothing_back(world):
    world.event()
    world.tick()
    world.ingest()
    late = world.down[0]
    world.hear()
    world.event(cti=os.urandom(16))
    world.calm(2)
    world.down.append(late)
    assert world.hear() is AckEffect.NOTHING_NEW
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 0


def test_two_devices_with_one_identity_are_found_and_nothing_of_either_is_lost(world):
    world.event()
    world.calm(2)
    clone = Event(
        seq=1,
        id="another",
        ts=5,
        ts_trust="trusted",
        type="redeemed",
        body={"cti": "00" * 16, "use": 1},
    )
    batch = Batch("kiosk-1", outbox.current_epoch(world.stores["kiosk-1"])[0], 0, 0, (clone,))
    with world.hub.transaction() as connection:
        taken = ingest.ingest_batch(connection, batch, NOW.unix_s)
        kept = connection.execute("SELECT id, event FROM sequence_conflict").fetchall()
    assert [(item.seq, item.reason) for item in taken.ack.rejected] == [
        (1, UploadRefusal.SEQUENCE_REUSED)
    ]
    assert kept == [("another", clone.model_dump_json())]


@pytest.mark.parametrize(
    ("epochs", "two"),
    [
        pytest.param("aaa", False, id="a device that comes and goes"),
        pytest.param("ab", False, id="a new card"),
        pytest.param("aba", True, id="back in an epoch that it had left"),
    ],
)
def test_two_devices_with_one_name_are_found_by_their_epochs(world, epochs, two):
    with world.hub.transaction() as connection:
        statuses = [Status(dev="kiosk-1", state="online", epoch=epoch) for epoch in epochs]
        found = [ingest.record_status(connection, status, NOW.unix_s) for status in statuses]
    assert any(found) is two


def conflicts(world, name):
    return [
        case
        for case in exception_cases.cases(world.stores[name])
        if case.kind == "platform_conflict"
    ]


def tell(world, name):
    with world.hub.transaction() as connection:
        epoch, through = acknowledgements.latest_epoch(connection, name)
        ack = acknowledgements.acknowledgement(
            connection, name, epoch, committed_through=through, acknowledged_through=through
        )
    world.down.append((name, codec.encode(ack)))


def test_one_use_redeemed_at_two_devices_is_reported_to_both_once(world):
    sell(world, order())
    world.event("kiosk-1")
    world.event("kiosk-2")
    world.calm(2)
    tell(world, "kiosk-1")
    tell(world, "kiosk-1")
    world.calm(2)
    assert [len(conflicts(world, name)) for name in ("kiosk-1", "kiosk-2")] == [1, 1]
    assert "kiosk-2" in conflicts(world, "kiosk-1")[0].cause


def test_a_conflict_is_reported_until_the_device_has_it(world):
    sell(world, order())
    world.event("kiosk-1")
    world.event("kiosk-2")
    for name in ("kiosk-1", "kiosk-2"):
        world.tick(name)
    while world.up:
        world.ingest()
    world.down.clear()  # every acknowledgement is lost
    world.calm()
    assert len(conflicts(world, "kiosk-2")) == 1
    tell(world, "kiosk-1")
    world.calm(1)
    world.uplinks["kiosk-1"].start_over(world.time_s)
    world.calm(1)
    with world.hub.read() as connection:
        assert connection.execute(
            "SELECT count(*) FROM conflict WHERE acknowledged = 0 AND dev = 'kiosk-1'"
        ).fetchone() == (0,)


def test_a_use_that_was_reversed_is_no_conflict(world):
    sell(world, order())
    world.event("kiosk-1")
    with world.stores["kiosk-1"].read() as connection:
        (first,) = connection.execute("SELECT id FROM outbox").fetchone()
    back = {"cti": CTI.hex(), "use": 1, "redemption_event": first}
    world.event("kiosk-1", type="reversed", body=back)
    world.calm(2)
    world.event("kiosk-2")
    world.calm(2)
    assert not conflicts(world, "kiosk-2")


def test_a_voucher_in_parts_is_held_to_its_amount(world):
    sell(world, order(amount_minor=1000, currency="EUR"))
    for name, amount in (("kiosk-1", 400), ("kiosk-2", 600)):
        world.event(name, body={"cti": CTI.hex(), "use": 1, "units": 1, "amount_minor": amount})
    world.calm(2)
    assert not conflicts(world, "kiosk-2")
    world.event("kiosk-2", body={"cti": CTI.hex(), "use": 2, "units": 1, "amount_minor": 1})
    world.calm(2)
    tell(world, "kiosk-1")
    world.calm(1)
    assert [len(conflicts(world, name)) for name in ("kiosk-1", "kiosk-2")] == [1, 1]


def test_an_event_that_the_store_holds_and_the_wire_cannot_is_withheld_by_name(world):
    world.event(type="No Word")
    world.calm(2)
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 0


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]], ids=str)
@pytest.mark.parametrize("taken", [[0, 1, 2], [2, 1, 0], [1, 2, 0]], ids=str)
def test_batches_that_several_hubs_acknowledge_in_any_order_count_without_a_resend(
    world, taken, order
):
    for _ in range(3):
        world.event(cti=os.urandom(16))
        world.tick()
    sent = len(world.up)
    for place in taken:
        world.up.append(world.up[place])
    del world.up[:sent]
    while world.up:
        world.ingest()
    answers = [world.down[place] for place in order]
    world.down = answers
    while world.down:
        world.hear()
    assert outbox.backlog(world.stores["kiosk-1"]).pending == 0


def copied(world, name="kiosk-1"):
    """Return a second device from a copy of the first one's card, and its uplink."""
    (world.folder / "copy").mkdir()
    with world.stores[name].read() as connection:
        copy = sqlite3.connect(world.folder / "copy" / "store.db")
        connection.backup(copy)
        copy.close()
    store = open_store(
        world.folder / "copy", device_id=name, now_s=NOW.unix_s, random_bytes=os.urandom
    ).store
    return store, Uplink(store, name, window=5, random_bytes=os.urandom)


def test_two_devices_from_one_card_both_end_with_all_they_wrote_at_the_platform(world):
    """Each acknowledgement reaches the wrong one first: it changes nothing there."""
    world.event(cti=os.urandom(16))
    world.calm(2)
    store, uplink = copied(world)
    pairs = [(world.stores["kiosk-1"], world.uplinks["kiosk-1"]), (store, uplink)]
    for number, (ours, link) in enumerate(pairs):
        for use in range(4 + number):
            with ours.transaction() as connection:
                body = {"cti": os.urandom(16).hex(), "use": use + 1, "units": 1}
                outbox.append(
                    connection, type="redeemed", body=body, now=NOW, id=uuid7(1, os.urandom(10))
                )
        link.start_over(0.0)
    for turn in range(30):
        for _, link in pairs[:: 1 if turn % 2 else -1]:
            link.tick(lambda payload: world.up.append(("kiosk-1", payload)) or True, turn * 1000.0)
            while world.up:
                world.ingest()
            for payload in [payload for _, payload in world.down]:
                for _, other in pairs[::-1]:
                    other.receive_ack(
                        codec.decode_addressed(Ack, payload, dev="kiosk-1"), NOW, turn * 1000.0
                    )
            world.down.clear()
    held = [row["id"] for row in listing.list_events(world.hub) if row["refused"] is None]
    for ours, _ in pairs:
        with ours.read() as connection:
            assert {row[0] for row in connection.execute("SELECT id FROM outbox")} <= set(held)
        assert outbox.backlog(ours).pending == 0
    assert len(held) == len(set(held)) == 10


def test_a_conflict_about_an_event_that_was_sent_again_names_its_redemption(world):
    store = world.stores["kiosk-1"]
    world.event()
    epoch, _ = outbox.current_epoch(store)
    with store.transaction() as connection:
        identity = connection.execute("SELECT id FROM outbox").fetchone()[0]
        connection.execute(
            "INSERT INTO ledger (cti, use_no, order_id, kind, units, verdict, at_s, trust,"
            " epoch_no, seq, event_id)"
            " SELECT ?, 1, 'A-1', 'write_off', 1, 'accepted', 5, 'trusted', epoch_no, 1, ?"
            " FROM device",
            (CTI, identity),
        )
    chunks = Chunks(store, time.monotonic)
    for ids, resent in (({1: "another's"}, []), ({1: identity}, [1]), ({1: identity}, [])):
        how = {"now": NOW, "random_bytes": os.urandom}
        assert resend_renumbered(chunks, epoch, ids, **how) == resent
    later, _ = outbox.current_epoch(store)
    conflict = ReportedConflict(no=1, cti=CTI, epoch=later, seq=1, other="kiosk-2", other_s=7)
    with store.transaction() as connection:
        record_conflict(connection, conflict, NOW)
    assert [case.cti for case in conflicts(world, "kiosk-1")] == [CTI]
