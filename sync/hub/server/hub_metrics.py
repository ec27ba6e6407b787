"""The figures of a hub as metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from sync.metrics import counter, gauge, labelled, link_metric


def hub_metrics(report: Mapping[str, Any], *, now_s: int) -> list[Metric]:
    """From ``Hub.report()``."""
    return [
        link_metric("edge_hub", report["link"]),
        counter("edge_hub_connections", "Connections begun, the first among them.", report["connections"]),
        gauge("edge_hub_leader", "1 for the one hub that speaks to groups.", int(report["leader"])),
        labelled(
            CounterMetricFamily, "edge_hub_events", "Events that came, by what became of them.", "outcome",
            report["events"],
        ),
        labelled(
            CounterMetricFamily, "edge_hub_refused_messages", "Messages that changed nothing.", "reason",
            report["refused_messages"],
        ),
        gauge(
            "edge_hub_oldest_unanswered_seconds",
            "Age of the oldest batch that is stored and whose acknowledgement has not left.",
            report["oldest_unanswered_s"],
        ),
        labelled(
            GaugeMetricFamily, "edge_hub_feed_age_seconds", "Age of what was last said on each feed.", "feed",
            {name: max(0, now_s - at_s) for name, at_s in report["feeds"].items()},
        ),
    ]  # fmt: skip
