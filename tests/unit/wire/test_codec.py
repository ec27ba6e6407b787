"""The codec of messages: it reads what it writes, and refuses the rest without an exception."""

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.values.node_name import device_name_fault
from sync.wire import codec
from sync.wire.messages import (
    MAX_SEQ,
    Ack,
    BadEvent,
    Batch,
    Command,
    Event,
    GrantRequest,
    MessageFault,
    MessageRefusal,
    OrdersRequest,
    RefusedItem,
    Response,
    Status,
)
from sync.wire.settings_report import SettingsReport
from sync.wire.topics import Down, Topic, Up, device_filters, parse_topic, site_group

DECODERS = (
    codec.decode_batch,
    codec.decode_request,
    *(partial(codec.decode_addressed, model) for model in (Ack, Command, Response, Status)),
)
names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z")
storable_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | storable_text,
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(storable_text, children, max_size=4)
    ),
    max_leaves=10,
)
bodies = st.dictionaries(storable_text, json_values, max_size=6)
events = st.builds(
    Event,
    seq=st.integers(1, MAX_SEQ),
    id=st.uuids().map(str),
    ts=st.integers(0, 2**33 - 1),
    ts_trust=st.sampled_from(["trusted", "floor_only"]),
    type=st.sampled_from(["redeemed", "reversed", "refused", "pickup"]),
    body=bodies,
)


def event(seq=1, **changes) -> dict:
    whole = {
        "seq": seq,
        "id": f"id-{seq}",
        "ts": 1,
        "ts_trust": "trusted",
        "type": "redeemed",
        "body": {},
    }
    return {**whole, **changes}


def batch(*items, **changes) -> bytes:
    return json.dumps(
        {"v": 1, "dev": "kiosk-1", "epoch": "e", "events": list(items), **changes}
    ).encode()


@given(
    names,
    st.lists(events, max_size=5, unique_by=lambda item: item.seq),
    st.integers(0, MAX_SEQ),
)
def test_a_batch_is_read_as_it_was_written(dev, sent, through):
    payload = codec.encode_batch(
        dev, "ab12", through, 7, [codec.encode_event(item) for item in sent]
    )
    read = codec.decode_batch(payload, dev=dev)
    assert read == Batch(dev, "ab12", through, 7, tuple(sorted(sent, key=lambda item: item.seq)))


@pytest.mark.parametrize(
    "message",
    [
        Ack(
            dev="k",
            epoch="e",
            committed_through=3,
            rejected=[RefusedItem(seq=2, reason="body_invalid")],
        ),
        OrdersRequest(dev="k", id="1", have=5, snapshot=9, page=2),
        GrantRequest(dev="k", id="1", cti="00" * 16, quantity=1, epoch="e", number=1),
        Status(dev="k", state="online", epoch="e", last_seq=4),
        Command(dev="k"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_is_read_as_it_was_written(message):
    payload = codec.encode(message)
    if isinstance(message, OrdersRequest | GrantRequest):
        assert codec.decode_request(payload, dev="k") == message
    else:
        assert codec.decode_addressed(type(message), payload, dev="k") == message


@pytest.mark.parametrize("decode", DECODERS)
@given(payload=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_junk_is_refused_and_never_raises(decode, payload):
    assert isinstance(decode(payload, dev="kiosk-1"), MessageRefusal)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_a_damaged_batch_is_refused_or_read_and_never_raises(at, damage):
    payload = bytearray(batch(event(1), event(2)))
    payload[at : at + len(damage)] = damage
    assert isinstance(codec.decode_batch(bytes(payload), dev="kiosk-1"), Batch | MessageRefusal)


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        pytest.param(b"", MessageFault.NOT_JSON, id="nothing"),
        pytest.param(b"\xff\xfe", MessageFault.NOT_JSON, id="not UTF-8"),
        pytest.param(b"[" * 100_000, MessageFault.NOT_JSON, id="nested without end"),
        pytest.param(
            b"{}" + b" " * codec.MAX_MESSAGE_BYTES, MessageFault.TOO_LARGE, id="too large"
        ),
        pytest.param(b"{}", MessageFault.WRONG_SHAPE, id="nothing in it"),
        pytest.param(batch(v=2), MessageFault.VERSION_UNKNOWN, id="a later version"),
        pytest.param(
            batch(dev="kiosk-2"), MessageFault.WRONG_DEVICE, id="another device on this topic"
        ),
        pytest.param(batch(epoch="../x"), MessageFault.WRONG_SHAPE, id="not an epoch"),
        pytest.param(batch(event("1")), MessageFault.WRONG_SHAPE, id="an event without a number"),
        pytest.param(
            batch(acknowledged_through=-1), MessageFault.WRONG_SHAPE, id="a negative number"
        ),
        pytest.param(
            batch(acknowledged_through=True), MessageFault.WRONG_SHAPE, id="true is not a number"
        ),
    ],
)
def test_a_wrong_batch_is_refused_with_its_fault(payload, fault):
    found = codec.decode_batch(payload, dev="kiosk-1")
    assert isinstance(found, MessageRefusal)
    assert found.fault is fault


def test_a_bad_event_is_refused_by_its_number_and_the_others_are_read():
    found = codec.decode_batch(batch(event(1), event(2, ts="yesterday"), event(3)), dev="kiosk-1")
    assert [item.seq for item in found.events] == [1, 3]
    assert [(item.seq, item.reason) for item in found.bad] == [(2, "wrong_shape.ts")]
    assert isinstance(found.bad[0], BadEvent)


UNSTORABLE = [
    pytest.param({"reason": "looked at\0it"}, id="U+0000"),
    pytest.param({"reason\0": "seen"}, id="U+0000 in a key"),
    pytest.param({"reason": "\ud800"}, id="half of a surrogate pair"),
    pytest.param({"amount": 2**63}, id="an integer of more than 64 bits"),
    pytest.param({"amount": float("nan")}, id="no number"),
    pytest.param({"amount": float("inf")}, id="an infinite number"),
    pytest.param(json.loads("[" * 250 + "]" * 250), id="nested 250 deep"),
]


@pytest.mark.parametrize("value", UNSTORABLE)
def test_what_no_store_can_hold_refuses_the_event_and_not_the_batch(value):
    payload = batch(event(1), event(2, body={"value": value}), event(3))
    found = codec.decode_batch(payload, dev="kiosk-1")
    assert [item.seq for item in found.events] == [1, 3]
    assert [(item.seq, item.reason) for item in found.bad] == [(2, "value_unfit")]
    assert found.bad[0].raw.isascii()


@pytest.mark.parametrize("value", UNSTORABLE)
def test_a_device_does_not_send_what_no_store_can_hold(value):
    unfit = Event.model_construct(**event(1, body={"value": value}))
    assert codec.encode_event(unfit).fault is MessageFault.VALUE_UNFIT


def test_a_text_that_no_store_can_hold_refuses_any_other_message():
    report = {"v": 1, "dev": "kiosk-1", "state": "committed", "software": "1.0\0"}
    found = codec.decode_addressed(SettingsReport, json.dumps(report).encode(), dev="kiosk-1")
    assert found.fault is MessageFault.VALUE_UNFIT


def test_unknown_keys_are_ignored_so_that_a_device_and_a_hub_may_differ_in_version():
    assert isinstance(
        codec.decode_batch(batch(event(1, colour="blue"), news=1), dev="kiosk-1"), Batch
    )


def test_an_event_too_large_for_the_wire_is_refused():
    big = Event(**event(1, body={"text": "x" * codec.MAX_EVENT_BYTES}))
    assert codec.encode_event(big).fault is MessageFault.TOO_LARGE


def test_a_redemption_costs_few_bytes():
    """One redemption with its envelope is at most 350 bytes, which a metered link carries."""
    body = {
        "cti": "00" * 16,
        "order": "A-1000",
        "kind": "write_off",
        "use": 1,
        "units": 1,
        "verdict": "accepted",
    }
    encoded = codec.encode_event(Event(**event(1, id="0" * 36, ts=1_800_000_000, body=body)))
    assert len(codec.encode_batch("kiosk-1", "0" * 16, 0, 0, [encoded])) < 350


@given(names, names, st.sampled_from([*Up, *Down]))
def test_a_topic_is_read_as_it_was_written(tenant, device, channel):
    topic = Topic(tenant, device, channel)
    assert parse_topic(str(topic)) == topic


@given(st.text(max_size=60))
def test_any_text_is_a_topic_or_none(text):
    found = parse_topic(text)
    assert found is None or str(found) == text


@pytest.mark.parametrize(
    "topic",
    [
        "v1/main/kiosk-1/up/ack",
        "v1/main/kiosk-1/dn/evt",
        "v2/main/kiosk-1/up/evt",
        "v1/main/+/up/evt",
        "v1/main//up/evt",
        "v1/main/kiosk-1/up/evt/x",
        "v1/main/kiosk-1/up",
        "$SYS/broker/load",
        "v1/main/_hub/up/evt",
    ],
)
def test_a_text_that_is_no_topic_of_the_protocol_is_none(topic):
    assert parse_topic(topic) is None


def test_a_device_subscribes_to_itself_its_site_and_the_fleet():
    assert device_filters("main", "kiosk-1", "shop-1") == [
        "v1/main/kiosk-1/dn/#",
        "v1/main/site-shop-1/dn/#",
        "v1/main/_all/dn/#",
    ]


@pytest.mark.parametrize(
    "name", ["_all", "_hub", "hub-shop-1", "ca", site_group("shop-1"), "", "a/b", "#", "x" * 41]
)
def test_no_device_can_have_the_name_of_another_party(name):
    assert device_name_fault(name)


@pytest.mark.parametrize("node", ["_all", site_group("shop-1")])
def test_a_group_sends_nothing(node):
    assert parse_topic(f"v1/main/{node}/up/evt") is None
    assert parse_topic(f"v1/main/{node}/dn/cmd") is not None
