"""Signed documents that may be accepted later: their key or their time has not come yet. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MOST_WAITING: Final = 16
RETRY_S: Final = 5.0


class WaitingDocuments:
    """At most ``MOST_WAITING`` documents, each once; the oldest make room. Monotonic seconds."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._due_s = 0.0

    def add(self, digest: str, raw: bytes) -> None:
        """Let ``raw``, whose SHA-256 is ``digest``, wait."""
        self._waiting[digest] = raw
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)

    def take_due(self, monotonic_s: float) -> list[bytes]:
        """Remove and return all that waits, every few seconds; otherwise nothing."""
        if not self._waiting or monotonic_s < self._due_s:
            return []
        self._due_s = monotonic_s + RETRY_S
        waiting, self._waiting = self._waiting, OrderedDict()
        return list(waiting.values())
