"""One contract for the hub's store, in a file and in PostgreSQL: same calls, same results."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from edge.domain.authorisation import AuthorisationResult
from edge.domain.order_row import EMPTY_DIGEST, row_digest, xor
from edge.domain.upload_refusal import UploadRefusal
from sync.hub.arbitration import grants
from sync.hub.ledger import acknowledgements, ingest, listing
from sync.hub.orders import order_lines
from sync.hub.store.event_table import UNREADABLE
from sync.hub.store.interface import HubStoreError
from sync.hub.store.opening import open_hub_store
from sync.hub.store.postgres import STRIPES
from sync.wire import order_feed
from sync.wire.messages import (
    MOST_REFUSALS,
    BadEvent,
    Batch,
    Event,
    GrantRequest,
    OrdersRequest,
    Status,
)

NOW_S = 1_800_000_000
CTI = bytes(15) + b"\x07"


def redeemed(seq: int, cti: bytes = CTI, use: int = 1, id: str = "") -> Event:
    body = {"cti": cti.hex(), "use": use, "units": 1, "amount_minor": None}
    return Event(
        seq=seq, id=id or f"id-{seq}", ts=NOW_S, ts_trust="trusted", type="redeemed", body=body
    )


def batch(*events: Event, dev: str = "kiosk-1", acknowledged: int = 0, conflicts: int = 0) -> Batch:
    return Batch(dev, "epoch-1", acknowledged, conflicts, events)


def take(store, *batches: Batch):
    with store.transaction() as connection:
        return [ingest.ingest_batch(connection, each, NOW_S) for each in batches][-1]


def sell(store, *ctis: bytes, **changes) -> None:
    lines = [
        order_lines.OrderLine(
            cti=cti.hex(), order_id="A-1", kind="write_off", home_site="shop-1", **changes
        )
        for cti in ctis
    ]
    with store.transaction() as connection:
        order_lines.put_lines(connection, lines, NOW_S * 1_000_000)


def page(store, have: int = 0, snapshot: int = 0, number: int = 0):
    request = OrdersRequest(dev="kiosk-1", id="r", have=have, snapshot=snapshot, page=number)
    with store.transaction() as connection:
        return order_lines.page_for(
            connection, "shop-1", request, now_s=NOW_S, now_us=NOW_S * 1_000_000
        )


def test_a_batch_has_one_effect_however_often_it_comes(opened):
    store = opened()
    first = take(store, batch(redeemed(1), redeemed(2, os.urandom(16))))
    again = take(store, batch(redeemed(1), redeemed(2, os.urandom(16))))
    assert (first.fresh, again.fresh, again.repeated) == (2, 0, 2)
    assert first.ack == again.ack
    assert [row["seq"] for row in listing.list_events(store)] == [1, 2]
    assert [row["seq"] for row in listing.list_events(store, dev="kiosk-9")] == []


def test_an_unreadable_event_is_stored_as_it_came_and_counted_once(opened):
    store, bad = opened(), BadEvent(2, "wrong_shape", '{"seq": 2}')
    sent = replace(batch(redeemed(1)), bad=(bad,))
    first, again = take(store, sent), take(store, sent)
    assert (first.refused, again.refused) == (1, 0)
    assert (first.ack.committed_through, first.ack.last) == (2, 2)
    assert [(item.seq, item.reason) for item in again.ack.rejected] == [(2, "wrong_shape")]
    with store.read() as connection:
        row = connection.execute("SELECT type, body, refused FROM event WHERE seq = 2").fetchone()
    assert tuple(row) == (UNREADABLE, '{"seq": 2}', "wrong_shape")


def test_numbers_are_acknowledged_to_the_first_gap_and_beyond_it_when_it_is_filled(opened):
    store = opened()
    later = tuple(redeemed(seq, os.urandom(16)) for seq in range(3, 2_500))
    assert take(store, batch(*later)).ack.committed_through == 0
    assert (
        take(store, batch(redeemed(1), redeemed(2, os.urandom(16)))).ack.committed_through == 2_499
    )


def test_another_event_under_a_taken_number_is_refused_and_kept(opened):
    store = opened()
    take(store, batch(redeemed(1)))
    taken = take(store, batch(redeemed(1, id="other")))
    assert [(item.seq, item.reason) for item in taken.ack.rejected] == [
        (1, UploadRefusal.SEQUENCE_REUSED)
    ]
    with store.read() as connection:
        assert connection.execute("SELECT id FROM sequence_conflict").fetchall() == [("other",)]


def test_no_number_counts_as_compared_from_the_first_refusal_that_does_not_fit(opened):
    """Otherwise the device would take an event as accepted that the platform refuses."""
    store = opened()
    bad = {
        seq: redeemed(seq).model_copy(update={"body": {}}) for seq in range(1, MOST_REFUSALS + 501)
    }
    first = take(store, batch(*(bad[seq] for seq in range(1, 1001))))
    assert (first.ack.first, first.ack.last, len(first.ack.rejected)) == (1, 1000, 1000)
    second = take(store, batch(*(bad[seq] for seq in range(1001, 1501))))
    assert (second.ack.first, second.ack.last) == (0, 0)
    third = take(store, batch(*(bad[seq] for seq in range(1001, 1501)), acknowledged=1000))
    assert (third.ack.first, third.ack.last, len(third.ack.rejected)) == (1001, 1500, 500)


def test_one_use_that_was_redeemed_twice_is_reported_to_both_devices(opened):
    store = opened()
    sell(store, CTI)
    take(store, batch(redeemed(1), dev="kiosk-1"))
    taken = take(store, batch(redeemed(1), dev="kiosk-2"))
    assert taken.also_notify == {"kiosk-1"}
    (mine,) = taken.ack.conflicts
    assert (mine.cti, mine.other_dev) == (CTI.hex(), "kiosk-1")
    again = take(store, batch(dev="kiosk-2", conflicts=mine.number))
    assert not again.ack.conflicts


def test_one_grant_at_a_time_and_the_next_when_its_device_has_reported_the_outcome(opened):
    store = opened()
    sell(store, CTI)

    def claim(dev, no):
        request = GrantRequest(
            dev=dev, id=f"r{no}", cti=CTI.hex(), quantity=1, epoch="epoch-1", number=no
        )
        with store.transaction() as connection:
            return grants.arbitrate(connection, request, site="shop-1", now_s=NOW_S).result

    def over(through, acknowledged_through=0):
        report = replace(
            batch(), acknowledged_through=acknowledged_through, grants_released_through=through
        )
        with store.transaction() as connection:
            grants.release_finished(connection, report, committed_through=0)

    assert claim("kiosk-1", 1) is AuthorisationResult.GRANTED
    assert claim("kiosk-2", 1) is AuthorisationResult.HELD
    assert claim("kiosk-1", 2) is AuthorisationResult.GRANTED
    over(0)
    over(1)
    over(2, acknowledged_through=1)
    assert claim("kiosk-2", 2) is AuthorisationResult.HELD
    over(2)
    assert claim("kiosk-2", 3) is AuthorisationResult.GRANTED


def test_a_device_that_asks_again_and_again_for_a_code_gets_a_bounded_number_of_grants(opened):
    store = opened()
    sell(store, CTI)

    def claim(number):
        request = GrantRequest(
            dev="kiosk-1",
            id=f"r{number}",
            cti=CTI.hex(),
            quantity=1,
            epoch="epoch-1",
            number=number,
        )
        with store.transaction() as connection:
            return grants.arbitrate(connection, request, site="shop-1", now_s=NOW_S).result

    results = [claim(number) for number in range(1, grants.MOST_GRANTS + 2)]
    assert results[-2:] == [AuthorisationResult.GRANTED, AuthorisationResult.HELD]


def test_a_snapshot_and_what_came_after_it_make_the_feed(opened):
    store = opened()
    ctis = sorted(os.urandom(16) for _ in range(order_feed.PAGE_ROWS + 3))
    sell(store, *ctis)
    first = page(store)
    sell(store, CTI)
    last = page(store, snapshot=first.revision, number=1)
    assert [row[0] for row in first.rows + last.rows] == ctis
    assert (first.last, last.last) == (False, True)
    delta = page(store, have=first.revision)
    assert [row[0] for row in delta.rows] == [CTI]
    digest = EMPTY_DIGEST
    for row in first.rows + last.rows + delta.rows:
        digest = xor(digest, row_digest(row))
    assert delta.digest == digest


def test_an_order_that_moves_to_another_site_leaves_the_first(opened):
    store = opened()
    sell(store, CTI)
    had = page(store).revision
    sell(store, CTI)  # the same again changes nothing
    assert page(store, have=had).to_revision == had
    moved = order_lines.OrderLine(
        cti=CTI.hex(), order_id="A-1", kind="write_off", home_site="shop-2"
    )
    with store.transaction() as connection:
        order_lines.put_lines(connection, [moved], NOW_S * 1_000_000)
    assert page(store, have=had).removed == (CTI,)


def test_a_status_is_stored_and_a_second_device_with_its_identity_is_found(opened):
    store = opened()

    def report_status(epoch):
        with store.transaction() as connection:
            return ingest.record_status(
                connection, Status(dev="kiosk-1", state="online", epoch=epoch), NOW_S
            )

    assert [report_status("a"), report_status("a"), report_status("b"), report_status("a")] == [
        False,
        False,
        False,
        True,
    ]
    take(store, batch(redeemed(1)))
    with store.read() as connection:
        assert acknowledgements.latest_epoch(connection, "kiosk-1") == ("epoch-1", 1)
        assert acknowledgements.latest_epoch(connection, "kiosk-2") is None


def test_a_transaction_that_fails_leaves_nothing(opened):
    store = opened()
    with pytest.raises(ZeroDivisionError), store.transaction() as connection:
        ingest.ingest_batch(connection, batch(redeemed(1)), NOW_S)
        raise ZeroDivisionError
    assert list(listing.list_events(store)) == []
    take(store, batch(redeemed(1)))


def test_one_of_all_hubs_leads_until_it_ends(opened):
    first, second = opened(), opened()
    assert first.lead()
    assert not second.lead()
    assert first.lead()
    first.close()
    deadline = time.monotonic() + 5
    while not second.lead():  # a server may take a moment to see that a connection has ended
        assert time.monotonic() < deadline


def test_a_change_of_a_feed_by_another_hub_is_seen(opened):
    first, second = opened(), opened()
    before = first.data_version()
    assert first.data_version() == before
    sell(second, CTI)
    assert first.data_version() != before


def test_hubs_that_take_the_same_code_from_two_devices_at_once_always_find_the_conflict(opened):
    store = opened()
    ctis = [os.urandom(16) for _ in range(40)]
    sell(store, *ctis)
    start = threading.Barrier(2)

    def hub(dev):
        mine = opened()
        start.wait()
        for number, cti in enumerate(ctis, 1):
            event = redeemed(number, cti)
            with mine.transaction(frozenset({dev, cti.hex()})) as connection:
                ingest.ingest_batch(connection, batch(event, dev=dev), NOW_S)
        mine.close()

    with ThreadPoolExecutor() as pool:
        list(pool.map(hub, ("kiosk-1", "kiosk-2")))
    with store.read() as connection:
        assert connection.execute("SELECT count(*) FROM conflict").fetchone() == (2 * len(ctis),)


def test_transactions_that_share_many_names_do_not_wait_in_a_circle(opened):
    names = [f"name-{number}" for number in range(3 * STRIPES)]

    def hub(order):
        store = opened()
        for _ in range(20):
            with store.transaction(frozenset(order)):
                pass
        store.close()

    with ThreadPoolExecutor() as pool:
        list(
            pool.map(hub, (names, names[::-1], names[7:400]))
        )  # a circle is found by the database, and raised here


def test_a_database_that_cannot_be_reached_is_reported(tmp_path):
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    with pytest.raises(HubStoreError, match="check database in the configuration"):
        open_hub_store(tmp_path, f"postgresql:///x?host={tmp_path}")


def test_a_connection_that_is_lost_is_a_store_that_cannot_be_used(postgres, tmp_path):
    url = postgres.database()
    store, other = open_hub_store(tmp_path, url), open_hub_store(tmp_path, url)
    with other.transaction() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
    with pytest.raises(HubStoreError), store.transaction() as connection:
        ingest.ingest_batch(connection, batch(redeemed(1)), NOW_S)
    with pytest.raises(HubStoreError):
        store.data_version()
    other.close()


def test_a_conflict_waits_for_its_number_while_another_transaction_numbers_one(postgres, tmp_path):
    """A device acknowledges conflicts up to a number: a lower one committed later would be lost."""
    url = postgres.database()
    first, second = open_hub_store(tmp_path, url), open_hub_store(tmp_path, url)
    sell(first, CTI)
    take(first, batch(redeemed(1), dev="kiosk-1"))
    with first.transaction(frozenset({"kiosk-3"})) as numbering:
        numbering.lock_conflict_numbers()
        with (
            pytest.raises(HubStoreError, match="lock timeout"),
            second.transaction(frozenset({"kiosk-2", CTI.hex()})) as connection,
        ):
            connection.execute("SET LOCAL lock_timeout = 100")
            ingest.ingest_batch(connection, batch(redeemed(1), dev="kiosk-2"), NOW_S)
    assert take(second, batch(redeemed(1), dev="kiosk-2")).ack.conflicts
    first.close()
    second.close()
