"""A hub is held while devices report more than its store has, until a named person resumes it."""

import pytest

from sync.hub.ledger import ingest
from sync.hub.orders import hold, order_lines
from sync.hub.orders.hold import HoldRule
from sync.hub.store import feed_table, incarnation_table
from sync.wire.messages import Batch, Event, OrdersRequest, Status

NOW_S = 1_800_000_000
RULE = HoldRule()
ELSEWHERE = "0190c8f05f5e7a1b8c3d2b1a09f8e7d6"  # another store's incarnation
SITE = "shop-1"


@pytest.fixture
def store(opened):
    store = opened()
    line = {"cti": bytes(16).hex(), "order_id": "A", "kind": "pickup", "home_site": SITE}
    with store.transaction() as connection:
        order_lines.put_lines(connection, [order_lines.OrderLine(**line)], NOW_S * 1_000_000)
    return store


def present(store):
    with store.read() as connection:
        return incarnation_table.present_incarnation(connection).hex()


def head(store):
    with store.read() as connection:
        return feed_table.feed_of(connection, SITE).head


def status(store, dev="kiosk-1", *, now_s=NOW_S, epoch="e", **fields):
    """Report a status, as the leader takes it."""
    report = Status(dev=dev, state="online", epoch=epoch, **fields)
    with store.transaction() as connection:
        hold.check_status(connection, report, site=SITE, rule=RULE, now_s=now_s)
        ingest.record_status(connection, report, now_s)
    return is_held(store)


def request(store, dev="kiosk-1", *, now_s=NOW_S, **fields):
    """Return whether a request for orders is served."""
    asked = OrdersRequest(dev=dev, id="r", **{"have": 0, **fields})
    with store.transaction() as connection:
        return hold.check_request(connection, asked, site=SITE, rule=RULE, now_s=now_s)


def is_held(store):
    with store.read() as connection:
        return hold.is_held(connection)


def resume(store, now_s=NOW_S + 10):
    with store.transaction() as connection:
        return hold.resume(connection, by="zoe", reason="imported", now_s=now_s)


def report_event(store, seq, dev="kiosk-1"):
    event = Event(seq=seq, id=f"{seq}", ts=NOW_S, ts_trust="trusted", type="x", body={})
    with store.transaction() as connection:
        ingest.ingest_batch(connection, Batch(dev, "e", 0, 0, (event,)), NOW_S)


def test_a_new_platform_is_not_held(store):
    assert not status(store)
    assert request(store)
    assert request(store, incarnation=present(store), have=head(store))
    assert not status(store, incarnation=present(store), orders_revision=head(store))


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(
            {"incarnation": ELSEWHERE, "orders_revision": 7}, id="orders of another store"
        ),
        pytest.param({"acknowledged_through": 3}, id="events that it holds as acknowledged"),
    ],
)
def test_a_new_store_is_held_by_the_first_status_that_reports_history(store, history):
    assert not status(store, "kiosk-0")  # a device that is as new as the store
    assert status(store, "kiosk-1", **history)
    assert not request(store, "kiosk-0")
    assert not request(store, "kiosk-1", incarnation=ELSEWHERE, have=7)


def test_a_new_store_is_held_by_the_first_request_that_names_another(store):
    assert not request(store, incarnation=ELSEWHERE, have=7)
    assert is_held(store)


@pytest.mark.parametrize("named", ["have", "snapshot"])
def test_a_store_is_held_when_devices_have_a_newer_revision_than_it_has(store, named):
    ahead = {"incarnation": present(store), named: head(store) + 1}
    assert not request(store, **ahead)
    assert is_held(store)


def test_a_store_that_was_put_back_is_held_when_devices_have_more_acknowledged(store):
    report_event(store, 1)
    assert not status(store, acknowledged_through=1)
    assert status(store, acknowledged_through=2)


def test_one_device_of_many_that_reports_too_much_is_not_served_and_holds_nobody(store):
    for number in range(20):
        status(store, f"kiosk-{number}")
    ahead = {"incarnation": present(store), "have": head(store) + 1}
    assert not request(store, "kiosk-0", **ahead)
    assert not is_held(store)
    assert request(store, "kiosk-1")
    assert not request(store, "kiosk-1", **ahead)
    assert not is_held(store)
    assert not request(store, "kiosk-2", **ahead)
    assert is_held(store), "more than one in ten"


def test_what_a_device_no_longer_reports_does_not_count(store):
    for number in range(20):
        status(store, f"kiosk-{number}")
    ahead = {"incarnation": present(store), "have": head(store) + 1}
    for number in range(9):
        assert not request(store, f"kiosk-{number}", **ahead)
        assert request(store, f"kiosk-{number}", incarnation=present(store), have=head(store))
    assert not is_held(store)


def test_a_person_resumes_it_in_a_new_incarnation_and_that_is_recorded(store):
    before = present(store)
    status(store, incarnation=ELSEWHERE, orders_revision=7)
    resumed = resume(store)
    assert resumed.hex() == present(store) > max(before, ELSEWHERE)
    assert request(store, incarnation=ELSEWHERE, have=7)
    with store.read() as connection:
        ((at_s, by, reason, held),) = incarnation_table.resumptions(connection)
    assert (at_s, by, reason) == (NOW_S + 10, "zoe", "imported")
    assert "kiosk-1: it has orders of another store" in held


def test_devices_that_come_back_after_the_resumption_do_not_hold_it_again(store):
    status(store, incarnation=ELSEWHERE, orders_revision=7, acknowledged_through=3)
    resume(store)
    history = {"incarnation": ELSEWHERE, "orders_revision": 7, "acknowledged_through": 3}
    for again in range(3):
        assert not status(store, "kiosk-1", now_s=NOW_S + 20 + again, **history)
        assert not status(store, "kiosk-2", now_s=NOW_S + 20 + again, **history)


def test_a_loss_after_the_resumption_holds_it_again(store):
    status(store, incarnation=ELSEWHERE, orders_revision=7)
    resume(store)
    status(store, now_s=NOW_S + 20, acknowledged_through=0)
    assert status(store, now_s=NOW_S + 30, acknowledged_through=5)


def test_a_lie_about_the_far_future_leaves_room_for_later_incarnations(store):
    assert not request(store, incarnation="f" * 32, have=7)
    first = resume(store)
    assert not request(store, now_s=NOW_S + 20, incarnation="f" * 32, have=7)
    assert resume(store, NOW_S + 30) > first


def test_a_hub_that_is_not_held_is_not_resumed(store):
    with pytest.raises(hold.NotHeldError):
        resume(store)


def test_a_store_keeps_its_incarnation(opened, store):
    assert present(opened()) == present(store)
