"""The figures of edge-sync, and of the scanner's decoder, as metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge.values.instant import ClockTrust
from sync.metrics import counter, gauge, labelled, link_metric
from sync.wire.messages import RungReport

DEVICE_FILE: Final = "edge-sync.prom"


def device_metrics(report: Mapping[str, Any], *, now_s: int) -> list[Metric]:
    """Return the metrics of ``Agent.report()``.

    Ages are 0 where nothing waits, and absent where nothing ever came.
    """
    found = [
        link_metric("edge_sync", report["link"]),
        counter(
            "edge_sync_connections",
            "Connections begun, the first among them.",
            report["connections"],
        ),
        *_outbox_metrics(report, now_s),
        gauge(
            "edge_sync_clock_trusted",
            "1 when the system's clock was set from the network.",
            int(report["clock"] == ClockTrust.TRUSTED),
        ),
        *_restore_metrics(report["ledger_restore"]),
        *_labelled_metrics(report, now_s),
    ]
    if report["last_ack_age_s"] is not None:
        age_s, text = report["last_ack_age_s"], "Age of the last acknowledgement."
        found.append(gauge("edge_sync_last_acknowledgement_seconds", text, age_s))
    return found


def _outbox_metrics(report: Mapping[str, Any], now_s: int) -> list[Metric]:
    oldest_s = report["oldest_pending_s"]
    return [
        gauge(
            "edge_sync_unacknowledged_events",
            "Events that the platform has not acknowledged.",
            report["pending"],
        ),
        gauge(
            "edge_sync_oldest_unacknowledged_seconds",
            "Age of the oldest event that the platform has not acknowledged.",
            0 if oldest_s is None else max(0, now_s - oldest_s),
        ),
        gauge("edge_sync_rejected_events", "Events that the platform refused.", report["rejected"]),
        counter(
            "edge_sync_refused_publishes",
            "Publishes that the broker refused.",
            report["refused_publishes"],
        ),
        counter(
            "edge_sync_oversized_publishes",
            "Messages set aside because the broker accepts no packet of their size.",
            report["oversized_publishes"],
        ),
    ]


def _restore_metrics(restore: Mapping[str, Any]) -> list[Metric]:
    if not restore:
        return []
    return [
        gauge(
            "edge_sync_ledger_recovering",
            "1 while the platform has not given back all that this device has lost.",
            int(restore["recovering"]),
        ),
        gauge(
            "edge_sync_ledger_restored",
            "Redemptions that the platform has given back.",
            restore["restored"],
        ),
    ]


def _labelled_metrics(report: Mapping[str, Any], now_s: int) -> list[Metric]:
    ages_s = {name: max(0, now_s - at_s) for name, at_s in report["feeds"].items()}
    return [
        labelled(
            CounterMetricFamily,
            "edge_sync_refused_messages",
            "Messages that changed nothing.",
            "reason",
            report["refused_messages"],
        ),
        labelled(
            CounterMetricFamily,
            "edge_sync_documents",
            "Signed documents that came, by what became of them.",
            "outcome",
            report["documents"],
        ),
        labelled(
            GaugeMetricFamily,
            "edge_sync_feed_age_seconds",
            "Age of what is known from each feed.",
            "feed",
            ages_s,
        ),
        labelled(
            GaugeMetricFamily,
            "edge_sync_problem",
            "Present problems.",
            "problem",
            dict.fromkeys(report["problems"], 1),
        ),
    ]


def decoder_metrics(rungs: Iterable[RungReport]) -> list[Metric]:
    """Return the tries, reads, faults and time of each rung of the scanner's decoder."""
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
        labelled(CounterMetricFamily, f"edge_decoder_{name}", words, "rung", values)
        for name, words, values in found
        if values
    ]
