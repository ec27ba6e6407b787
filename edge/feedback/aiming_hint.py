"""Advice on a code that is seen and cannot be read: given once it has stood for a moment. Pure."""

from __future__ import annotations

from edge.ports import Hint

_STEADY_S = 0.6  # shorter than a person's patience, longer than a hand takes to bring the phone


class AimingHint:
    """Takes a decoder's hint with every frame; time comes in, in monotonic seconds."""

    def __init__(self) -> None:
        self._since_s: float | None = None  # when hints began to come without a gap

    def advise(self, hint: Hint | None, now_s: float) -> Hint | None:
        """Return ``hint`` once codes were seen unread for a while; None while there is nothing to say."""
        if hint is None:
            self._since_s = None
            return None
        if self._since_s is None:
            self._since_s = now_s
        return hint if now_s - self._since_s >= _STEADY_S else None
