"""A value that a store cannot hold refuses its event: never the batch, never the process."""

import json

import pytest

from sync.hub.ledger import ingest, listing, reviews
from sync.hub.ledger.redemptions import REDEEMED
from sync.hub.store import redemption_table
from sync.hub.store.interface import UnfitValueError
from sync.wire import codec
from sync.wire.messages import Batch, Event
from tests.support.shared_data import shared_json

NOW_S = 1_800_000_000
CTI = bytes(15) + b"\x07"


def event(seq: int, type: str = REDEEMED, **body) -> Event:
    whole = {"cti": CTI.hex(), "use": 1, "units": 1, **body}
    return Event(seq=seq, id=f"id-{seq}", ts=NOW_S, ts_trust="trusted", type=type, body=whole)


def take(store, batch: Batch):
    with store.transaction() as connection:
        return ingest.ingest_batch(connection, batch, NOW_S)


def refusals(result) -> list[tuple[int, str]]:
    return [(item.seq, item.reason) for item in result.ack.rejected]


def test_the_wire_refuses_the_event_and_the_others_are_stored(opened):
    found = shared_json("field", "nul-postgres", "event.json")
    sent = [
        codec.encode_event(event(1)),
        json.dumps(found).encode(),
        codec.encode_event(event(3, cti="11" * 16)),
    ]
    payload = codec.encode_batch("kiosk-1", "e", 0, 0, sent)
    store = opened()
    for _ in range(2):
        result = take(store, codec.decode_batch(payload, dev="kiosk-1"))
        assert refusals(result) == [(2, "value_unfit")]
        assert result.ack.committed_through == 3


def test_a_value_that_only_the_store_refuses_sets_its_event_aside(opened, monkeypatch):
    """As if a kind of value were not known to the wire yet."""
    record_event = reviews.record_event

    def record_unfit(connection, dev, epoch, event):
        if event.seq == 2:
            connection.execute("INSERT INTO stream VALUES (?, 'e', 1)", ("\ud800",))
        record_event(connection, dev, epoch, event)

    monkeypatch.setattr(reviews, "record_event", record_unfit)
    store = opened()
    events = (event(1), event(2, cti="22" * 16), event(3, cti="33" * 16))
    result = take(store, Batch("kiosk-1", "e", 0, 0, events))
    assert refusals(result) == [(2, "value_unfit")]
    assert (result.fresh, result.refused, result.ack.committed_through) == (2, 1, 3)
    stored = [(row["seq"], row["refused"]) for row in listing.list_events(store)]
    assert stored == [(1, None), (2, "value_unfit"), (3, None)]
    with store.read() as connection:
        assert redemption_table.total_redeemed(connection, bytes.fromhex("22" * 16)) == (0, 0)


def test_sums_of_more_than_64_bits_refuse_the_event_that_would_make_them(opened):
    store = opened()
    events = tuple(event(seq, units=2**53 - 1) for seq in range(1, 1027))
    result = take(store, Batch("kiosk-1", "e", 0, 0, events))
    assert refusals(result) == [(1025, "value_unfit"), (1026, "value_unfit")]


def test_what_a_part_of_a_transaction_wrote_is_undone_alone(opened):
    store = opened()
    with store.transaction() as connection:
        connection.execute("INSERT INTO stream VALUES ('kiosk-1', 'e', 1)")
        with pytest.raises(UnfitValueError), connection.part():
            connection.execute("INSERT INTO stream VALUES ('kiosk-2', 'e', 1)")
            connection.execute("INSERT INTO stream VALUES (?, 'e', 1)", ("\ud800",))
        connection.execute("INSERT INTO stream VALUES ('kiosk-3', 'e', 1)")
    with store.read() as connection:
        rows = connection.execute("SELECT dev FROM stream ORDER BY dev").fetchall()
    assert rows == [("kiosk-1",), ("kiosk-3",)]


def test_the_listing_shows_the_beginning_of_an_event_that_could_not_be_read(opened):
    unreadable = event(1).model_dump() | {"body": {"text": "\0" * codec.LONGEST_EXCERPT}}
    payload = json.dumps(
        json.loads(codec.encode_batch("kiosk-1", "e", 0, 0, [])) | {"events": [unreadable]}
    ).encode()
    store = opened()
    take(store, codec.decode_batch(payload, dev="kiosk-1"))
    (row,) = listing.list_events(store)
    assert row["body"].startswith('{"seq": 1')
