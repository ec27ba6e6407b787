"""What Prometheus is told of both ends."""

from prometheus_client.parser import text_string_to_metric_families

from sync.link import Link
from sync.metrics import device_metrics, hub_metrics, write_metrics

NOW_S = 1_800_000_000
DEVICE = {
    "link": Link.CONNECTED, "connections": 3, "pending": 7, "oldest_pending_s": NOW_S - 90, "rejected": 1,
    "refused_publishes": 0, "refused_messages": {"not_json": 4}, "feeds": {"orders": NOW_S - 60, "trust_list": NOW_S},
    "problems": {"status_stale": "older than it may be"}, "last_ack_age_s": 1.5,
}  # fmt: skip
HUB = {
    "link": Link.UNREACHABLE, "connections": 2, "leads": True, "events": {"fresh": 9, "repeated": 2, "refused": 1},
    "refused_messages": {}, "oldest_unanswered_s": 0.0, "feeds": {"_all/trust": NOW_S - 5},
}  # fmt: skip


def read(path, metrics) -> dict:
    write_metrics(path, metrics)
    families = text_string_to_metric_families(path.read_text())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_a_device_tells_what_waits_what_it_knows_and_how_it_is_connected(tmp_path):
    told = read(tmp_path / "a.prom", device_metrics(DEVICE, now_s=NOW_S))
    assert told[("edge_sync_oldest_unacknowledged_seconds",)] == 90
    assert told[("edge_sync_feed_age_seconds", "orders")] == 60
    assert told[("edge_sync_connections_total",)] == 3
    assert told[("edge_sync_refused_messages_total", "not_json")] == 4
    assert told[("edge_sync_rejected_events",)] == 1
    assert told[("edge_sync_problem", "status_stale")] == 1
    assert told[("edge_sync_link", "connected")] == 1
    assert sum(value for (name, *_), value in told.items() if name == "edge_sync_link") == 1


def test_where_nothing_waits_the_age_is_zero_and_what_was_never_heard_has_none(tmp_path):
    idle = {**DEVICE, "oldest_pending_s": None, "last_ack_age_s": None, "feeds": {}}
    told = read(tmp_path / "a.prom", device_metrics(idle, now_s=NOW_S))
    assert told[("edge_sync_oldest_unacknowledged_seconds",)] == 0
    assert not [
        name for name, *_ in told if name in ("edge_sync_feed_age_seconds", "edge_sync_last_acknowledgement_seconds")
    ]


def test_a_hub_tells_what_came_and_what_it_said(tmp_path):
    told = read(tmp_path / "a.prom", hub_metrics(HUB, now_s=NOW_S))
    assert told[("edge_hub_events_total", "repeated")] == 2
    assert told[("edge_hub_feed_age_seconds", "_all/trust")] == 5
    assert told[("edge_hub_leads",)] == 1
    assert told[("edge_hub_link", "broker_unreachable")] == 1


def test_a_folder_that_cannot_be_written_costs_the_figures_and_nothing_else(tmp_path):
    write_metrics(tmp_path / "absent" / "a.prom", hub_metrics(HUB, now_s=NOW_S))
    assert not (tmp_path / "absent").exists()
