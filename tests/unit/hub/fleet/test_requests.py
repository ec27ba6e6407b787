"""Requests of operations with wrong arguments: an error for a reply, and a store that works on."""

import json
from types import SimpleNamespace

import pytest
from structlog.testing import CapturingLogger

from edge.token.trust_list import TrustList
from sync.hub.fleet.fleet_service import FleetService
from sync.hub.store.fleet.fleet_store import open_fleet_store
from sync.wire.fleet_requests import FleetAction

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
