"""Requests of operations with wrong arguments: an error for a reply, and a store that works on."""

import json
from types import SimpleNamespace

import pytest
from structlog.testing import CapturingLogger

from edge.token.trust_list import TrustList
from sync.hub.fleet.fleet_service import FleetService
from sync.hub.ledger import ingest
from sync.hub.orders import order_lines
from sync.hub.store.fleet.fleet_store import open_fleet_store
from sync.wire.fleet_requests import FleetAction
from sync.wire.limits import MOST_MESSAGE_BYTES
from sync.wire.messages import Batch, Event
from sync.wire.settings_report import SettingsReport

NO_KEYS = TrustList(version=1, issued_at_s=0, expires_at_s=1, keys=())


class Session:
    def __init__(self):
        self.replies = []

    def publish(self, _topic, payload, **_):
        self.replies.append(json.loads(payload))
        return True


@pytest.fixture
def request_of(opened, tmp_path):
    """Return a function that sends a request and returns the reply."""
    hub, fleet = opened(), open_fleet_store(tmp_path / "fleet")
    config = SimpleNamespace(tenant="main", device=(), enrolment=None, data_dir=str(tmp_path))
    config.documents = SimpleNamespace(operators=())
    service = FleetService(
        config, fleet, keys=lambda: NO_KEYS, now_s=lambda: 1_800_000_000, log=CapturingLogger()
    )
    session = Session()

    def send(action, **args):
        request = {"v": 1, "id": "r1", "action": action, "args": args}
        with hub.transaction() as connection:
            service.handle_request(connection, json.dumps(request).encode())
            # As in the hub, what follows in the transaction has its effect.
            connection.execute("INSERT INTO feed VALUES ('s', 0, ?) ON CONFLICT DO NOTHING", (b"",))
        service.publish(session)
        return session.replies.pop()

    send.service, send.hub = service, hub
    yield send
    fleet.close()


@pytest.mark.parametrize(
    ("action", "args"),
    [
        pytest.param("orders", {"site": {"a": 1}}, id="an object for a text"),
        pytest.param("orders", {"after": "xy"}, id="no hexadecimal"),
        pytest.param("exceptions", {"dev": [1]}, id="a list for a text"),
        pytest.param("reviews", {"after": 2**80}, id="a number beyond the database's"),
        pytest.param("reviews", {"after": "x"}, id="a text for a number"),
        pytest.param("reviews", {"id": 7}, id="a number for a text"),
        pytest.param("documents", {"wanted": [["fleet", 2**80]]}, id="a rev beyond SQLite's"),
        pytest.param("withdraw", {"key": "fleet", "rev": -1}, id="a negative rev"),
        pytest.param("review", {"decision": "?"}, id="no base64"),
        pytest.param("enrol", {}, id="nothing"),
    ],
)
def test_a_request_with_a_wrong_argument_gets_an_error_and_breaks_no_transaction(
    request_of, action, args
):
    reply = request_of(action, **args)
    assert not reply["ok"]
    assert reply["error"]
    assert request_of("devices")["ok"]


@pytest.mark.parametrize("action", [FleetAction.DEVICES, FleetAction.ORDERS, FleetAction.REVIEWS])
def test_a_request_without_arguments_gets_the_first_page(request_of, action):
    reply = request_of(action)
    assert reply["ok"], reply["error"]
    assert reply["result"]["next"] is None


def pages(request_of, action, name):
    """Return all items, and check that each reply is a message."""
    items, after, count = [], None, 0
    while count == 0 or after is not None:
        reply = request_of(action, **({} if after is None else {"after": after}))
        assert reply["ok"], reply["error"]
        assert len(json.dumps(reply, ensure_ascii=False).encode()) < MOST_MESSAGE_BYTES
        items += reply["result"][name]
        after, count = reply["result"]["next"], count + 1
    return items, count


def test_the_largest_reports_of_many_devices_make_more_pages(request_of):
    names = [f"kiosk-{number:02}" for number in range(20)]
    for name in names:
        report = SettingsReport(dev=name, state="committed", shipped={"x": "满" * 80_000})
        request_of.service.record_report(name, report.model_dump_json().encode())
    devices, count = pages(request_of, FleetAction.DEVICES, "devices")
    assert [device["dev"] for device in devices] == names
    assert count > 5


def test_a_report_that_grows_beyond_a_message_when_written_out_is_refused(request_of):
    """A number in a report may be written shorter than the hub stores it."""
    numbers = ",".join(["1e15"] * 50_000)
    text = f'{{"v":1,"dev":"kiosk-1","state":"x","shipped":{{"n":[{numbers}]}}}}'
    request_of.service.record_report("kiosk-1", text.encode())
    assert request_of(FleetAction.DEVICES)["result"]["devices"] == []


def test_the_largest_order_lines_make_more_pages(request_of):
    lines = [
        order_lines.OrderLine(
            cti=f"{number:032x}",
            order_id="店" * 100,
            kind="pickup",
            home_site="shop-1",
            compartments=["柜" * 100] * 64,
            rules="满" * 1000,
        )
        for number in range(70)
    ]
    with request_of.hub.transaction() as connection:
        order_lines.put_lines(connection, lines, 1)
    orders, count = pages(request_of, FleetAction.ORDERS, "orders")
    assert [order["cti"] for order in orders] == [line.cti for line in lines]
    assert count > 2


def test_the_texts_of_a_case_are_cut_and_what_does_not_fit_is_counted(request_of):
    events = [
        Event(
            seq=seq,
            id=f"id-{seq}",
            ts=1,
            ts_trust="trusted",
            type="pickup",
            body={"exception": "满" * 9000, "compartment": "柜" * 1000, "cti": "x" * 30},
        )
        for seq in range(1, 601)
    ]
    for start in range(0, 600, 100):
        batch = Batch("kiosk-1", "e1", 0, 0, tuple(events[start : start + 100]))
        with request_of.hub.transaction() as connection:
            ingest.ingest_batch(connection, batch, 1)
    result = request_of(FleetAction.EXCEPTIONS)["result"]
    assert len(result["exceptions"]) + result["left_out"] == 600
    assert len(json.dumps(result, ensure_ascii=False).encode()) < MOST_MESSAGE_BYTES
    assert result["exceptions"][0]["cti"] is None
    assert len(result["exceptions"][0]["detail"]) == 400
