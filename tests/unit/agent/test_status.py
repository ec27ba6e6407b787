"""What a device says of itself: retained at the broker, kept by the hub, shown to ops."""

import os
from types import SimpleNamespace

import pytest
from structlog.testing import CapturingLogger

from edge.store.database.store import StoreUnavailableError
from edge.store.opening import open_store
from edge.values.instant import Instant
from sync.agent.agent import ORDERS_NOT_REMOVED, Agent
from sync.agent.agent_parts import AgentAddress, AgentParts, AgentSources
from sync.agent.response_timer import ResponseTimer
from sync.agent.timings import AGENT_TIMINGS
from sync.hub.fleet import queries
from sync.hub.ledger import ingest
from sync.hub.store.opening import open_hub_store
from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.oversized import OversizedPublishes
from sync.wire import codec
from sync.wire.messages import MOST_RUNGS, HealthReport, RungReport, Status

NOW_S = 1_800_000_000
HEALTHY = HealthReport(scanner="scanning", camera="streaming", clock="trusted")
SILENT = HealthReport(scanner="silent")
TRIED = RungReport(rung="zxing", tries=5, reads=1, faults=0, busy_ms=12)


class Broker:
    """A connection that is always there and keeps what was published."""

    connected, connections, room, link, detail, refused_publishes = (
        True,
        1,
        True,
        LinkState.CONNECTED,
        "",
        0,
    )

    oversized = OversizedPublishes()

    def __init__(self):
        self.statuses = []

        self.arrivals = []

    def step(self, timeout_s):
        taken, self.arrivals = self.arrivals, []
        return taken

    def acknowledge(self, arrival):
        pass

    def publish(self, topic, payload, *, retain=False, **_):
        assert retain
        self.statuses.append(codec.decode_addressed(Status, payload, dev="kiosk-1"))
        return True


@pytest.fixture
def device(tmp_path):
    store = open_store(tmp_path, device_id="kiosk-1", now_s=NOW_S, random_bytes=os.urandom).store
    quiet = SimpleNamespace(
        start_over=lambda _: None,
        request_now=lambda _: None,
        note_commit=lambda: None,
        tick=lambda *_: None,
        replies=ResponseTimer(),
        problems=lambda _: {},
        next_request=lambda *_, **__: None,
        remove_stale_rows=lambda: world.clean_up(),  # noqa: PLW0108 - replaced by a test
    )
    world = SimpleNamespace(broker=Broker(), monotonic_s=100.0, rungs=(), health=None, idle=[])
    world.clean_up = lambda: world.idle.append(True)
    world.agent = Agent(
        AgentAddress(tenant="main", device="kiosk-1", site="shop-1"),
        AgentParts(store=store, session=world.broker, uplink=quiet, downlink=quiet),
        AgentSources(
            now=lambda: Instant(unix_s=NOW_S),
            monotonic_s=lambda: world.monotonic_s,
            new_id=lambda: "a",
            rungs=lambda: world.rungs,
            health=lambda _problems: world.health,
        ),
        CapturingLogger(),
    )
    yield world
    store.close()


def test_a_connected_device_reports_its_decoders_counts_every_hour(device):
    device.agent.step()
    device.rungs = (TRIED,)
    device.monotonic_s += AGENT_TIMINGS.status_every_s - 1
    device.agent.step()
    assert [status.rungs for status in device.broker.statuses] == [()]
    device.monotonic_s += 2
    device.agent.step()
    device.agent.step()
    assert [status.rungs for status in device.broker.statuses] == [(), (TRIED,)]
    assert {status.state for status in device.broker.statuses} == {"online"}


def test_a_change_of_health_is_reported_at_once_and_then_every_five_seconds_at_most(device):
    device.agent.step()
    device.monotonic_s += 60
    for health in (HEALTHY, SILENT, HEALTHY, SILENT):
        device.health = health
        device.agent.step()
        device.monotonic_s += 2.5
    assert [status.health for status in device.broker.statuses] == [None, HEALTHY, SILENT]
    device.monotonic_s += 60
    device.agent.step()
    device.agent.step()
    assert len(device.broker.statuses) == 3


def test_what_the_broker_retains_for_a_device_that_is_gone_names_no_health(device):
    device.health = HEALTHY
    device.agent.step()
    assert (
        codec.decode_addressed(Status, device.agent.offline_status(), dev="kiosk-1").health is None
    )


def test_a_clean_up_that_the_disk_refuses_is_a_problem_and_does_not_end_the_process(device):
    def full():
        raise StoreUnavailableError("database or disk is full")

    device.clean_up = full
    device.agent.step()
    assert [status.state for status in device.broker.statuses] == ["online"]
    assert "is full" in device.agent.report()["problems"][ORDERS_NOT_REMOVED]
    device.clean_up = lambda: None
    device.agent.step()
    assert ORDERS_NOT_REMOVED not in device.agent.report()["problems"]


def test_ops_see_what_a_devices_decoder_has_counted(tmp_path):
    hub = open_hub_store(tmp_path)
    with hub.transaction() as connection:
        ingest.record_status(
            connection, Status(dev="kiosk-1", state="online", epoch="a", rungs=(TRIED,)), NOW_S
        )
    with hub.read() as connection:
        assert queries.device_state(connection, "kiosk-1")["rungs"] == [TRIED.model_dump()]
        assert queries.device_state(connection, "kiosk-3")["rungs"] == []
    hub.close()


def test_fifty_devices_with_every_possible_rung_fit_into_one_reply_to_ops():
    longest = tuple(
        RungReport(
            rung=f"{number:02}".rjust(24, "x"),
            tries=10**9,
            reads=10**9,
            faults=10**6,
            busy_ms=10**10,
        )
        for number in range(MOST_RUNGS)
    )
    status = Status(dev="kiosk-1", state="online", epoch="a", rungs=longest)
    assert 50 * len(codec.encode(status)) < codec.MAX_MESSAGE_BYTES


def test_stale_orders_are_removed_in_turns_in_which_nothing_comes(device):
    device.agent.step()
    assert device.idle == [True]
    device.broker.arrivals.append(Arrival("v1/main/kiosk-2/dn/cmd", b"", 1, 1, False, 1))
    device.agent.step()
    assert device.idle == [True]
