"""Health of a process: which parts have moved lately, and every problem by its name.

``Health`` is a state machine without effects; ``write_health`` writes its report.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Health:
    """Beats of the parts that must move, and the present problems."""

    limit_s: float  # a part without a beat for longer is stuck
    _beats: dict[str, float] = field(default_factory=dict)
    _problems: dict[str, str] = field(default_factory=dict)

    def beat(self, part: str, monotonic_s: float) -> None:
        """Record that ``part`` has moved."""
        self._beats[part] = monotonic_s

    def set_problem(self, name: str, detail: str | None) -> bool:
        """Set problem ``name`` to ``detail``, or clear it with None. Return whether it changed."""
        before = self._problems.get(name)
        if detail is None:
            self._problems.pop(name, None)
        else:
            self._problems[name] = detail
        return before != detail

    def stuck(self, monotonic_s: float) -> list[str]:
        """Return the parts without a beat within the limit; any stops the watchdog's feed."""
        return sorted(part for part, at in self._beats.items() if monotonic_s - at > self.limit_s)

    @property
    def problems(self) -> dict[str, str]:
        """Return the present problems: name to detail."""
        return dict(self._problems)

    @property
    def state(self) -> str:
        """Return ``scanning``, or ``degraded`` while there is any problem."""
        return "degraded" if self._problems else "scanning"


def read_health(path: Path) -> dict[str, Any]:
    """Return a process's last report; empty where there is none, or the file is damaged."""
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}


def write_health(path: Path, report: dict[str, Any]) -> None:
    """Replace the health file at ``path`` whole, so that a reader never sees a part of it."""
    temporary = path.with_suffix(".new")
    try:
        temporary.write_text(json.dumps(report, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError:
        return  # a full disk is reported by the store; the health file must not stop a scan
