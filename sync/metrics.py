"""Both ends' state for Prometheus, as text files for node_exporter's textfile collector.

The scanner has no network and a device listens on no port: whoever wants figures has node_exporter read
``edge-sync.prom`` in the data folder; the hub writes ``<identity>.prom`` in its own. What the scanner counts (its
decoder's rungs) is taken from its health file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.values.instant import ClockTrust
from sync.mqtt.endpoint import Link
from sync.wire.messages import Rung

DEVICE_FILE: Final = "edge-sync.prom"


def write_metrics(path: Path, metrics: Iterable[Metric]) -> None:
    """Replace the file whole. A disk that is full costs the figures and nothing else."""
    registry = CollectorRegistry()
    registry.register(_Ready(list(metrics)))
    try:
        write_to_textfile(str(path), registry)
    except OSError:
        return  # a full disk is reported by the store


def device_metrics(report: Mapping[str, Any], *, now_s: int) -> list[Metric]:
    """From ``Agent.report()``. Ages are 0 where nothing waits, and absent where nothing was ever heard."""
    oldest_s = report["oldest_pending_s"]
    found = [
        _link("edge_sync", report["link"]),
        _counter("edge_sync_connections", "Connections begun, the first among them.", report["connections"]),
        _gauge("edge_sync_unacknowledged_events", "Events that the platform has not acknowledged.", report["pending"]),
        _gauge(
            "edge_sync_oldest_unacknowledged_seconds",
            "Age of the oldest event that the platform has not acknowledged.",
            0 if oldest_s is None else max(0, now_s - oldest_s),
        ),
        _gauge("edge_sync_rejected_events", "Events that the platform refused.", report["rejected"]),
        _counter("edge_sync_refused_publishes", "Publishes that the broker refused.", report["refused_publishes"]),
        _labelled(
            CounterMetricFamily, "edge_sync_refused_messages", "Messages that changed nothing.", "reason",
            report["refused_messages"],
        ),
        _labelled(
            CounterMetricFamily, "edge_sync_documents", "Signed documents that came, by what became of them.",
            "outcome", report["documents"],
        ),
        _gauge("edge_sync_clock_trusted", "1 when the system's clock was set from the network.",
               int(report["clock"] == ClockTrust.TRUSTED)),
        _labelled(
            GaugeMetricFamily, "edge_sync_feed_age_seconds", "Age of what is known from each feed.", "feed",
            {name: max(0, now_s - at_s) for name, at_s in report["feeds"].items()},
        ),
        _labelled(
            GaugeMetricFamily, "edge_sync_problem", "Problems that stand.", "problem",
            dict.fromkeys(report["problems"], 1),
        ),
    ]  # fmt: skip
    if report["last_ack_age_s"] is not None:
        age_s = report["last_ack_age_s"]
        found.append(
            _gauge(
                "edge_sync_last_acknowledgement_seconds", "Age of the last acknowledgement.", age_s
            )
        )
    return found


def decoder_metrics(rungs: Iterable[Rung]) -> list[Metric]:
    """What each rung of the scanner's decoder has cost and earned; ``lost``: what it cost to contain it."""
    figures = {rung.rung: rung for rung in rungs}
    found = (
        (
            "tries",
            "Pictures on which a rung of the decoder was tried.",
            {n: r.tries for n, r in figures.items()},
        ),
        ("reads", "Tries that read a code.", {n: r.reads for n, r in figures.items()}),
        (
            "faults",
            "Tries that raised, crashed or hung.",
            {n: r.faults for n, r in figures.items()},
        ),
        (
            "busy_seconds",
            "Time that the tries took.",
            {n: r.busy_ms / 1000 for n, r in figures.items()},
        ),
    )
    return [
        _labelled(CounterMetricFamily, f"edge_decoder_{name}", words, "rung", values)
        for name, words, values in found
        if values
    ]


def hub_metrics(report: Mapping[str, Any], *, now_s: int) -> list[Metric]:
    """From ``Hub.report()``."""
    return [
        _link("edge_hub", report["link"]),
        _counter("edge_hub_connections", "Connections begun, the first among them.", report["connections"]),
        _gauge("edge_hub_leads", "1 for the one hub that speaks to groups.", int(report["leads"])),
        _labelled(
            CounterMetricFamily, "edge_hub_events", "Events that came, by what became of them.", "outcome",
            report["events"],
        ),
        _labelled(
            CounterMetricFamily, "edge_hub_refused_messages", "Messages that changed nothing.", "reason",
            report["refused_messages"],
        ),
        _gauge(
            "edge_hub_oldest_unanswered_seconds",
            "Age of the oldest batch that is stored and whose acknowledgement has not left.",
            report["oldest_unanswered_s"],
        ),
        _labelled(
            GaugeMetricFamily, "edge_hub_feed_age_seconds", "Age of what was last said on each feed.", "feed",
            {name: max(0, now_s - at_s) for name, at_s in report["feeds"].items()},
        ),
    ]  # fmt: skip


class _Ready(Collector):
    """Gives a registry what is there already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        return self._metrics


def _link(prefix: str, link: Link | None) -> Metric:
    states = {state.value: int(state is link) for state in Link}
    return _labelled(
        GaugeMetricFamily,
        f"{prefix}_link",
        "The state of the connection: 1 for that one.",
        "state",
        states,
    )


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(name, words, value=value)


def _labelled(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily], name: str, words: str, label: str,
    values: Mapping[str, float],
) -> Metric:  # fmt: skip
    family = kind(name, words, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
