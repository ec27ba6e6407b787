"""The gate of a device that was put out of its fleet, or cannot tell who it is: it says so to every code."""

from __future__ import annotations

from edge.domain.verdict import Verdict
from edge.redemption.redeemer import Redemption
from edge.values.instant import Instant


class BlockedHandler:
    """Stands in for ``Gate``. What was wiped is not to be gathered again, so not even a refusal is journalled."""

    def __init__(self, why: str) -> None:
        self._why = why

    def judge(self, content: bytes, now: Instant, *, decode_ms: float | None = None) -> Redemption:
        """Refuse ``content``, whatever it is."""
        del content, now, decode_ms
        return Redemption(reason=Verdict.BLOCKED_DEVICE, detail=self._why, claims=None)
