"""What Prometheus reads of both ends."""

from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.decode.live import LiveDecoder
from edge.system.health import read_health, write_health
from sync.agent.cli import _write_health
from sync.agent.decoder_counters import decoder_counters
from sync.agent.device_metrics import decoder_metrics, device_metrics
from sync.hub.server.hub_metrics import hub_metrics
from sync.metrics import write_metrics
from sync.mqtt.endpoint import LinkState

NOW_S = 1_800_000_000
DEVICE = {
    "link": LinkState.CONNECTED,
    "connections": 3,
    "pending": 7,
    "oldest_pending_s": NOW_S - 90,
    "rejected": 1,
    "refused_publishes": 0,
    "oversized_publishes": 0,
    "refused_messages": {"not_json": 4},
    "feeds": {"orders": NOW_S - 60, "trust_list": NOW_S},
    "problems": {"status_stale": "older than it may be"},
    "last_ack_age_s": 1.5,
    "clock": "floor_only",
    "documents": {"orders_gap": 2},
    "ledger_restore": {"recovering": True, "restored": 12},
}
HUB = {
    "oversized_publishes": 0,
    "link": LinkState.UNREACHABLE,
    "connections": 2,
    "leader": True,
    "held": False,
    "events": {"new": 9, "repeated": 2, "refused": 1},
    "refused_messages": {},
    "oldest_unanswered_s": 0.0,
    "waiting": (3, 4000),
    "feeds": {"_all/trust": NOW_S - 5},
}


def read(path, metrics) -> dict:
    write_metrics(path, metrics)
    families = text_string_to_metric_families(path.read_text())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_device_exports_what_waits_what_it_knows_and_how_it_is_connected(tmp_path):
    metrics = read(tmp_path / "a.prom", device_metrics(DEVICE, now_s=NOW_S))
    assert metrics[("edge_sync_oldest_unacknowledged_seconds",)] == 90
    assert metrics[("edge_sync_feed_age_seconds", "orders")] == 60
    assert metrics[("edge_sync_connections_total",)] == 3
    assert metrics[("edge_sync_refused_messages_total", "not_json")] == 4
    assert metrics[("edge_sync_rejected_events",)] == 1
    assert metrics[("edge_sync_problem", "status_stale")] == 1
    assert metrics[("edge_sync_documents_total", "orders_gap")] == 2
    assert metrics[("edge_sync_clock_trusted",)] == 0
    assert metrics[("edge_sync_ledger_recovering",)] == 1
    assert metrics[("edge_sync_ledger_restored",)] == 12
    assert metrics[("edge_sync_link", "connected")] == 1
    assert sum(value for (name, *_), value in metrics.items() if name == "edge_sync_link") == 1


def test_where_nothing_waits_the_age_is_zero_and_what_never_came_has_none(tmp_path):
    idle = {**DEVICE, "oldest_pending_s": None, "last_ack_age_s": None, "feeds": {}}
    metrics = read(tmp_path / "a.prom", device_metrics(idle, now_s=NOW_S))
    assert metrics[("edge_sync_oldest_unacknowledged_seconds",)] == 0
    assert not [
        name
        for name, *_ in metrics
        if name in ("edge_sync_feed_age_seconds", "edge_sync_last_acknowledgement_seconds")
    ]


RUNG = {"tries": 40, "reads": 30, "faults": 1, "busy_ms": 250.4}


def test_a_device_exports_the_tries_reads_and_time_of_each_rung_of_its_decoder(tmp_path):
    health = {"decoder": {"zxing": RUNG, "gamma-0.5": {**RUNG, "reads": 0}, "lost": RUNG}}
    metrics = read(
        tmp_path / "a.prom",
        [*device_metrics(DEVICE, now_s=NOW_S), *decoder_metrics(decoder_counters(health))],
    )
    assert metrics[("edge_decoder_tries_total", "zxing")] == 40
    assert metrics[("edge_decoder_reads_total", "gamma-0.5")] == 0
    assert metrics[("edge_decoder_faults_total", "lost")] == 1
    assert metrics[("edge_decoder_busy_seconds_total", "zxing")] == 0.25
    assert metrics[("edge_sync_connections_total",)] == 3


@pytest.mark.parametrize(
    "health",
    [
        pytest.param({}, id="the scanner never ran"),
        pytest.param({"decoder": None}, id="no figures"),
        pytest.param({"decoder": [1]}, id="something else"),
        pytest.param(
            {"decoder": {'a"} 1\n': RUNG, "Ä": RUNG, "x" * 41: RUNG}}, id="names that are none"
        ),
        pytest.param({"decoder": {"zxing": 3}}, id="no counts"),
        pytest.param({"decoder": {"zxing": {**RUNG, "tries": "many"}}}, id="a word for a number"),
        pytest.param({"decoder": {"zxing": {**RUNG, "reads": -1}}}, id="less than nothing"),
        pytest.param({"decoder": {"zxing": {**RUNG, "busy_ms": float("nan")}}}, id="no number"),
        pytest.param({"decoder": {"zxing": {**RUNG, "tries": 0}}}, id="never tried"),
    ],
)
def test_a_health_file_without_figures_of_the_decoder_yields_none(health):
    assert decoder_counters(health) == ()
    assert decoder_metrics(decoder_counters(health)) == []


def test_the_labels_are_bounded_and_the_busiest_rungs_stay():
    many = {f"rung-{number}": {**RUNG, "tries": number} for number in range(1, 1000)}
    found = decoder_counters({"decoder": many})
    assert len(found) == 32
    assert found[0].rung == "rung-999"


def test_what_the_scanner_writes_of_its_decoder_comes_out_as_metrics(tmp_path):
    decoder = LiveDecoder()
    decoder.decode(np.zeros((50, 50), np.uint8))
    counts = {name: asdict(count) for name, count in decoder.counts.items()}
    write_health(tmp_path / "health.json", {"decoder": counts})
    metrics = read(
        tmp_path / "a.prom",
        decoder_metrics(decoder_counters(read_health(tmp_path / "health.json"))),
    )
    assert metrics[("edge_decoder_tries_total", "zxing")] == 1
    assert {label for _, label in metrics} == {
        name for name, count in decoder.counts.items() if count.tries
    }


def test_edge_sync_writes_both_into_one_file(tmp_path):
    write_health(tmp_path / "health.json", {"decoder": {"zxing": RUNG}})
    _write_health(tmp_path, SimpleNamespace(report=lambda: DEVICE))
    metrics = (tmp_path / "edge-sync.prom").read_text()
    assert 'edge_decoder_reads_total{rung="zxing"} 30.0' in metrics
    assert "edge_sync_connections_total 3.0" in metrics


@pytest.mark.parametrize("content", [None, b"", b"[1]", b"\xff", b"[" * 100_000])
def test_a_health_file_that_is_missing_or_damaged_yields_no_figures(tmp_path, content):
    path = tmp_path / "health.json"
    if content is not None:
        path.write_bytes(content)
    assert read_health(path) == {}


def test_a_hub_exports_what_arrived_and_what_it_replied(tmp_path):
    metrics = read(tmp_path / "a.prom", hub_metrics(HUB, now_s=NOW_S))
    assert metrics[("edge_hub_events_total", "repeated")] == 2
    assert metrics[("edge_hub_feed_age_seconds", "_all/trust")] == 5
    assert metrics[("edge_hub_leader",)] == 1
    assert metrics[("edge_hub_waiting_messages",)] == 3
    assert metrics[("edge_hub_waiting_bytes",)] == 4000
    assert metrics[("edge_hub_link", "broker_unreachable")] == 1


def test_a_folder_that_cannot_be_written_costs_the_figures_and_nothing_else(tmp_path):
    write_metrics(tmp_path / "absent" / "a.prom", hub_metrics(HUB, now_s=NOW_S))
    assert not (tmp_path / "absent").exists()
