"""How the device is: which parts have moved lately, and every problem by its name.

A state machine without effects; ``write_health`` is its only edge.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Health:
    """Beats of the parts that must move, and the problems that stand."""

    limit_s: float  # a part silent for longer is stuck
    _beats: dict[str, float] = field(default_factory=dict)
    _problems: dict[str, str] = field(default_factory=dict)

    def beat(self, part: str, monotonic_s: float) -> None:
        """Record that ``part`` has moved."""
        self._beats[part] = monotonic_s

    def set_problem(self, name: str, detail: str | None) -> bool:
        """Raise problem ``name`` with ``detail``, or clear it with None. True when that changed anything."""
        before = self._problems.get(name)
        if detail is None:
            self._problems.pop(name, None)
        else:
            self._problems[name] = detail
        return before != detail

    def stuck(self, monotonic_s: float) -> list[str]:
        """The parts that have not moved within the limit. The watchdog is fed only when there is none."""
        return sorted(part for part, at in self._beats.items() if monotonic_s - at > self.limit_s)

    @property
    def problems(self) -> dict[str, str]:
        """Standing problems: name to detail."""
        return dict(self._problems)

    @property
    def state(self) -> str:
        """``scanning``, or ``degraded`` while any problem stands."""
        return "degraded" if self._problems else "scanning"


def read_health(path: Path) -> dict[str, Any]:
    """Return what a process last said of itself; nothing where it never did, or the file is damaged."""
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}


def write_health(path: Path, report: dict[str, Any]) -> None:
    """Replace the health file at ``path`` whole, so that a reader never sees half of one."""
    temporary = path.with_suffix(".new")
    try:
        temporary.write_text(json.dumps(report, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, path)  # noqa: PTH105 - says "atomic" to the reader
    except OSError:
        return  # a full disk is reported by the store; the health file must not stop a scan
