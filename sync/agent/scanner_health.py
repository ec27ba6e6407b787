"""The health of the scanner process, read from its health file by edge-sync.

The scanner writes the file about once a second. A file that no longer changes says that the
scanner is dead, hangs or cannot write, whatever stands in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from sync.wire.messages import MOST_PROBLEMS, HealthReport

_LONGEST_NAME: Final = 80


class ScannerHealthWatch:
    """Watch over the scanner's health file. Pure: the file and the time are arguments."""

    def __init__(
        self,
        read: Callable[[], Mapping[str, Any]],
        *,
        every_s: float,
        monotonic_s: Callable[[], float],
        silent_s: float,
    ) -> None:
        """``read`` returns what the file holds; it is called each ``every_s`` seconds at most."""
        self._read = read
        self._every_s = every_s
        self._monotonic_s = monotonic_s
        self._silent_s = silent_s
        self._due_s = float("-inf")
        self._report: Mapping[str, Any] = {}
        self._changed_s = monotonic_s()

    def health(self, sync_problems: Iterable[str]) -> HealthReport | None:
        """Return the health of the device; None while it is not known.

        ``sync_problems`` are the names of the problems that edge-sync has found itself.
        """
        now_s = self._monotonic_s()
        if now_s >= self._due_s:
            self._due_s = now_s + self._every_s
            report = self._read()
            if report != self._report:
                self._report, self._changed_s = report, now_s
        silent = now_s - self._changed_s >= self._silent_s
        if not self._report and not silent:
            return None
        return _health(self._report, silent=silent, sync_problems=sync_problems)


def _health(
    report: Mapping[str, Any], *, silent: bool, sync_problems: Iterable[str]
) -> HealthReport:
    if silent:
        return HealthReport(scanner="silent", problems=_names(sync_problems))
    camera, listed = report.get("camera"), report.get("problems")
    found = listed if isinstance(listed, dict) else {}
    return HealthReport(
        scanner="scanning" if report.get("state") == "scanning" else "degraded",
        camera=_text(camera.get("state") if isinstance(camera, dict) else None),
        clock=_text(report.get("clock")),
        problems=_names([*found, *sync_problems]),
    )


def _names(problems: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({_text(name) for name in problems})[:MOST_PROBLEMS])


def _text(value: object) -> str:
    return value[:_LONGEST_NAME] if isinstance(value, str) else ""
