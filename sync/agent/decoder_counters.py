"""The counters of the scanner's decoder, read from its health file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from pydantic import ValidationError

from sync.wire.messages import MOST_RUNGS, RungReport


def decoder_counters(health: Mapping[str, Any]) -> tuple[RungReport, ...]:
    """Return the rungs that were tried, the busiest first, without malformed figures."""
    counts = health.get("decoder")
    found = [
        rung
        for name, count in (counts.items() if isinstance(counts, dict) else ())
        if isinstance(count, dict) and (rung := _rung(name, count)) is not None and rung.tries
    ]
    return tuple(sorted(found, key=lambda rung: -rung.tries)[:MOST_RUNGS])


def _rung(name: str, count: dict[str, Any]) -> RungReport | None:
    busy_ms = count.get("busy_ms")
    if not isinstance(busy_ms, int | float) or not isfinite(busy_ms):
        return None
    figures = {key: count.get(key) for key in ("tries", "reads", "faults")}
    try:
        return RungReport.model_validate({"rung": name, "busy_ms": round(busy_ms), **figures})
    except ValidationError:
        return None
