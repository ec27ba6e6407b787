"""A hub's metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from sync.metrics import counter, gauge, labelled, link_metric


def hub_metrics(report: Mapping[str, Any], *, now_s: int) -> list[Metric]:
    """Return the metrics of a hub from its ``Hub.report()``. ``now_s`` is Unix time."""
    return [
        link_metric("edge_hub", report["link"]),
        counter(
            "edge_hub_connections",
            "Connections begun, including the first.",
            report["connections"],
        ),
        counter(
            "edge_hub_oversized_publishes",
            "Messages set aside because the broker accepts no packet of their size.",
            report["oversized_publishes"],
        ),
        gauge(
            "edge_hub_leader",
            "1 for the leader, the one hub that publishes to groups.",
            int(report["leader"]),
        ),
        gauge(
            "edge_hub_held",
            "1 while the hub sends no orders and no grants: a person must resume it.",
            int(report["held"]),
        ),
        *_queue_metrics(report),
        *_labelled_metrics(report, now_s),
    ]


def _queue_metrics(report: Mapping[str, Any]) -> list[Metric]:
    messages, octets = report["waiting"]
    return [
        gauge(
            "edge_hub_waiting_messages",
            "Messages that wait for their turn; what a sender has beyond its share is dropped.",
            messages,
        ),
        gauge("edge_hub_waiting_bytes", "The same in bytes.", octets),
        gauge(
            "edge_hub_oldest_unanswered_seconds",
            "Age of the oldest stored batch whose acknowledgement is not sent yet.",
            report["oldest_unanswered_s"],
        ),
    ]


def _labelled_metrics(report: Mapping[str, Any], now_s: int) -> list[Metric]:
    return [
        labelled(
            CounterMetricFamily,
            "edge_hub_events",
            "Events received, by outcome.",
            "outcome",
            report["events"],
        ),
        labelled(
            CounterMetricFamily,
            "edge_hub_refused_messages",
            "Messages refused without effect, by reason.",
            "reason",
            report["refused_messages"],
        ),
        labelled(
            GaugeMetricFamily,
            "edge_hub_feed_age_seconds",
            "Age of the last publication on each feed.",
            "feed",
            {name: max(0, now_s - at_s) for name, at_s in report["feeds"].items()},
        ),
    ]
