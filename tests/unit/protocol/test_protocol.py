"""The published protocol: it is the code's, its examples are read, and both allow the same."""

import json
from base64 import b64decode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.documents.operator_list import OperatorList, open_operator_list
from edge.documents.settings import DeviceScope, open_settings
from edge.token import cbor
from edge.token.purpose import Purpose
from edge.token.signed_document import open_document
from edge.token.status_list import open_status_list
from edge.token.trust_list import TrustList, open_trust_list
from edge.values.instant import Instant
from sync.conformance.against_hub_reviews import check_reviews
from sync.conformance.peer import CheckFailed
from sync.protocol import example_keys, examples
from sync.protocol.__main__ import FOLDER, stale
from sync.protocol.channels import CHANNELS, MODELS, Form, messages, schemas
from sync.protocol.event_bodies import BODIES
from sync.wire import codec, fleet_requests, settings_report, site_lease
from sync.wire.fleet_requests import ARGUMENTS_AND_RESULTS, FleetAction, FleetRequest, FleetResponse
from sync.wire.grant_reply import GRANT_REPLY, GrantReply
from sync.wire.messages import (
    Ack,
    Addressed,
    Command,
    MessageFault,
    MessageRefusal,
    Response,
    Status,
)
from sync.wire.order_feed import read_page
from sync.wire.restore_page import RESTORE_PAGE
from sync.wire.review_decision import open_review_decision
from sync.wire.review_page import is_review_page, read_review_page
from sync.wire.settings_report import SettingsReport
from sync.wire.site_lease import LeaseReply, LeaseRequest
from sync.wire.topics import Down, Up
from tests.support.protocol_schemas import channel_of, document, faults, validator

NOW = Instant(unix_s=example_keys.NOW_S)
SHOWN = [
    pytest.param(channel, message, example, id=f"{channel.name}: {example.title}")
    for channel in CHANNELS
    for message in channel.messages
    for example in examples.examples()[message.name]
]


def topic(channel) -> str:
    site = "shop-2" if "shop-2" in channel.address else example_keys.SITE
    return channel.address.format(tenant="main", device=example_keys.DEV, site=site)


def test_the_published_files_are_those_of_the_code():
    assert not stale(FOLDER), "run: python -m sync.protocol"


def test_every_message_has_a_worked_example_and_every_example_a_message():
    assert set(examples.examples()) == {message.name for message in messages()}
    assert all(examples.examples().values())


def test_every_model_of_the_wire_is_published():
    written = {
        model
        for module in (codec, settings_report, fleet_requests, site_lease)
        for model in vars(module).values()
        if isinstance(model, type)
        and issubclass(model, codec.BaseModel)
        and "v" in model.model_fields
    }
    assert written - set(MODELS) <= {Addressed}


def test_every_channel_is_named_by_its_topics():
    for channel in CHANNELS:
        assert channel_of(topic(channel)) is channel
    named = {
        channel.address.rsplit("/", 2)[1] + "/" + channel.address.rsplit("/", 2)[2]
        for channel in CHANNELS
    }
    every = {f"up/{name}" for name in Up} | {f"dn/{name}" for name in Down}
    assert named == every


@pytest.mark.parametrize(("channel", "message", "example"), SHOWN)
def test_the_schema_allows_each_example(channel, message, example):
    assert faults(topic(channel), example.payload) == []


@pytest.mark.parametrize(("channel", "message", "example"), SHOWN)
def test_the_code_accepts_each_example(channel, message, example):
    assert not isinstance(_read(message.name, example), MessageRefusal)


@pytest.mark.parametrize(
    ("channel", "message", "example"), [p for p in SHOWN if p.values[1].form is Form.JSON]
)
def test_an_example_without_one_of_its_fields_is_refused_by_both_or_by_neither(
    channel, message, example
):
    whole = json.loads(example.payload)
    for field in whole:
        cut = json.dumps({key: value for key, value in whole.items() if key != field}).encode()
        taken = not isinstance(_read(message.name, examples.Example("", cut)), MessageRefusal)
        assert taken == (not _faults(message.name, cut)), field


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_schema_and_the_code_allow_the_same(data):
    """Change a field of an example: the code accepts what the schema allows, and nothing else."""
    _, message, example = data.draw(
        st.sampled_from([p.values for p in SHOWN if p.values[1].form is Form.JSON])
    )
    whole = json.loads(example.payload)
    field = data.draw(st.sampled_from(sorted(whole)))
    if field == "events":  # read item by item: see the tests of wire
        return
    whole[field] = data.draw(odd)
    changed = json.dumps(whole).encode()
    read = _read(message.name, examples.Example("", changed))
    faulty = _faults(message.name, changed)
    if isinstance(read, MessageRefusal):
        assert faulty or read.fault is MessageFault.WRONG_DEVICE, (field, whole[field])
    elif whole[field] is not True:  # true is 1, to the reader of a version
        assert not faulty, (field, whole[field])


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([2**31, 2**33, 2**53, 2**53 - 1, 10**30]),
    st.text("aA1-_.:é", max_size=45),
    st.just("x" * 5000),
    st.sampled_from(["offline", "granted", "resend", "devices"]),
    st.lists(st.integers(), max_size=1),
    st.dictionaries(st.just("a"), st.integers(), max_size=1),
)


def test_the_schema_of_bodies_allows_the_bodies_of_the_examples():
    for example in examples.examples()["EventBatch"]:
        for event in json.loads(example.payload)["events"]:
            assert BODIES[event["type"]].model_validate(event["body"])


def _faults(name: str, payload: bytes) -> list:
    return list(validator(f"messages/{name}/payload").iter_errors(json.loads(payload)))


_ADDRESSED = {
    "Status": Status,
    "SettingsReport": SettingsReport,
    "Ack": Ack,
    "Response": Response,
    "Command": Command,
}
_OTHERS = {
    "LeaseRequest": LeaseRequest,
    "LeaseReply": LeaseReply,
    "FleetRequest": FleetRequest,
    "FleetResponse": FleetResponse,
}


def _read(name: str, example):
    if name in _OTHERS:
        return codec.decode(_OTHERS[name], example.payload)
    if name in _ADDRESSED:
        named = json.loads(example.payload).get("dev")
        dev = named if name == "Command" and isinstance(named, str) else example_keys.DEV
        return codec.decode_addressed(_ADDRESSED[name], example.payload, dev=dev)
    match name:
        case "EventBatch":
            return codec.decode_batch(example.payload, dev=example_keys.DEV)
        case "OrdersRequest" | "GrantRequest" | "RestoreRequest":
            return codec.decode_request(example.payload, dev=example_keys.DEV)
        case "RestoreReply":
            return codec.decode_reply(example.payload, dev=example_keys.DEV)
        case "OrdersPage":
            opened = open_document(
                example.payload, Purpose.ORDER_FEED, example_keys.trust(), now=NOW
            )
            read = read_review_page if is_review_page(opened.payload) else read_page
            return read(opened.payload, site=opened.payload[2])
        case "TrustList":
            found = open_trust_list(example.payload, roots=example_keys.roots(), now=NOW)
            assert isinstance(found, TrustList)
            return found
        case "OperatorList":
            found = open_operator_list(example.payload, keys=example_keys.trust(), now=NOW)
            assert isinstance(found, OperatorList)
            return found
        case "StatusLists":
            (raw,) = cbor.decode(example.payload, cbor.DOCUMENT_LIMITS)
            assert open_status_list(raw, keys=example_keys.trust(), now=NOW).is_revoked(5)
        case "SettingsList":
            (raw,) = cbor.decode(example.payload, cbor.DOCUMENT_LIMITS)
            me = DeviceScope(
                tenant="main", device=example_keys.DEV, site=example_keys.SITE, agent_version="1.0"
            )
            assert open_settings(raw, example_keys.trust(), now=NOW, me=me).rev == 12
        case _:
            raise AssertionError(f"no reader for {name}")
    return None


def test_the_page_in_the_example_of_a_restore_reply_is_read():
    (example,) = examples.examples()["RestoreReply"]
    signed = b64decode(json.loads(example.payload)["signed"])
    page = RESTORE_PAGE.open(signed, example_keys.trust(), now=NOW)
    assert (page.last, len(page.rows)) == (True, 1)
    shown = examples.shown(signed, Form.SIGNED)
    assert list(validator("schemas/RestorePage").iter_errors(shown)) == []


def test_the_lease_in_the_example_of_a_reply_is_read():
    example, _ = examples.examples()["LeaseReply"]
    signed = b64decode(json.loads(example.payload)["signed"])
    opened = open_document(signed, Purpose.GRANT, example_keys.trust(), now=NOW)
    assert isinstance(site_lease.LEASE.read(opened.payload), site_lease.Lease)
    assert list(validator("schemas/Lease").iter_errors(examples.shown(signed, Form.SIGNED))) == []


def test_the_decision_in_the_example_of_a_request_is_read_and_names_its_reviewer():
    requests = [json.loads(example.payload) for example in examples.examples()["FleetRequest"]]
    (signed,) = [
        b64decode(request["args"]["decision"])
        for request in requests
        if request["action"] == "review"
    ]
    decision, by = open_review_decision(signed, example_keys.trust(), now=NOW)
    assert (decision.device, decision.approve, by) == (example_keys.DEV, False, "zoe")
    assert (
        list(validator("schemas/ReviewDecision").iter_errors(examples.shown(signed, Form.SIGNED)))
        == []
    )


def test_every_event_that_a_device_reports_has_a_worked_example():
    batches = [
        json.loads(example.payload)["events"] for example in examples.examples()["EventBatch"]
    ]
    assert {event["type"] for events in batches for event in events} >= set(BODIES) - {"operator"}


def test_the_signed_reply_in_the_example_of_a_response_is_read():
    (example,) = examples.examples()["Response"]
    signed = b64decode(json.loads(example.payload)["signed"])
    opened = open_document(signed, Purpose.GRANT, example_keys.trust(), now=NOW)
    answer = GRANT_REPLY.read(opened.payload)
    assert isinstance(answer, GrantReply)
    assert (
        list(validator("schemas/GrantReply").iter_errors(examples.shown(signed, Form.SIGNED))) == []
    )


def test_every_field_of_every_message_is_described():
    described = {
        f"{name}.{field}": bool(schema.get("description"))
        for name, model in schemas().items()
        for field, schema in model.get("properties", {}).items()
    }
    assert len(described) > 100
    assert [field for field, is_described in described.items() if not is_described] == []


def test_the_arguments_of_every_action_are_on_the_page():
    assert set(ARGUMENTS_AND_RESULTS) == set(FleetAction)


def test_the_document_names_the_form_of_asyncapi_that_it_is_in():
    assert document()["asyncapi"] == "3.0.0"
    with pytest.raises(ValidationError):
        BODIES["redeemed"].model_validate({})


def test_a_decision_that_no_reviewer_signed_fails_the_check_of_a_hub():
    (good,) = [e.payload for e in examples.examples()["OrdersPage"] if "person" in e.title]
    payload = open_document(good, Purpose.ORDER_FEED, example_keys.trust(), now=NOW).payload
    at = {"site": example_keys.SITE, "now": NOW}
    check_reviews(payload, keys=example_keys.trust(), **at)
    forged = payload | {4: [payload[4][0][:-1] + b"?"]}
    with pytest.raises(CheckFailed, match="document_signature_invalid"):
        check_reviews(forged, keys=example_keys.trust(), **at)
    check_reviews(forged, keys=None, **at)
    with pytest.raises(CheckFailed, match="no signed decision"):
        check_reviews(payload | {4: [["kiosk-1"]]}, keys=None, **at)
