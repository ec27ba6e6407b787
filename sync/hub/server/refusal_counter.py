"""Counts what the hub refuses or cannot handle, by reason, and logs it ever more rarely."""

from __future__ import annotations

from collections import Counter

from structlog.typing import FilteringBoundLogger

from edge.values.tenfold import is_tenfold


class RefusalCounter:
    """Logs the 1st, 10th, 100th, ... message of each sender that is refused for one reason.

    So the many refusals of one sender hide none of another.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._by_sender: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter()

    def add(self, reason: str, dev: str, detail: str) -> None:
        """Count one message. ``detail`` says what is wrong, or what to do."""
        name = str(reason)
        self.counts[name] += 1
        self._by_sender[name, dev] += 1
        count = self._by_sender[name, dev]
        if is_tenfold(count):
            self._log.warning("message_refused", reason=name, dev=dev, detail=detail, count=count)
