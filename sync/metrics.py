"""Metrics of both ends for Prometheus, as text files for node_exporter's textfile collector.

The scanner has no network, and a device listens on no port. node_exporter reads ``edge-sync.prom``
in the device's data folder; the hub writes ``<identity>.prom`` in its own. The counts of the
scanner's decoder come from its health file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.values.printable import printable
from sync.mqtt.endpoint import LinkState


def write_metrics(path: Path, metrics: Iterable[Metric]) -> None:
    """Replace the file whole. A full disk costs the figures and nothing else."""
    registry = CollectorRegistry()
    registry.register(_Ready(list(metrics)))
    try:
        write_to_textfile(str(path), registry)
    except OSError:
        return  # a full disk is reported by the store


class _Ready(Collector):
    """A collector of metrics that are already made."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return all of them."""
        return self._metrics


def link_metric(prefix: str, link: LinkState | None) -> Metric:
    """Return the state of a connection, one sample for each state: 1 for the current one."""
    states = {state.value: int(state is link) for state in LinkState}
    return labelled(
        GaugeMetricFamily,
        f"{prefix}_link",
        "The state of the connection: 1 for that one.",
        "state",
        states,
    )


def gauge(name: str, words: str, value: float) -> Metric:
    """Return a value that may rise and fall. ``words`` is its help text."""
    return GaugeMetricFamily(name, words, value=value)


def counter(name: str, words: str, value: float) -> Metric:
    """Return a value that only grows."""
    return CounterMetricFamily(name, words, value=value)


def labelled(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    words: str,
    label: str,
    values: Mapping[str, float],
) -> Metric:
    """Return one sample for each key of ``values``, in order."""
    family = kind(name, words, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([printable(key)], value)
    return family
