"""Aiming hint for a code that is seen and cannot be read, once it has lasted a moment. Pure."""

from __future__ import annotations

from edge.ports import Hint

_STEADY_S = 0.6  # shorter than a person's patience, longer than a hand takes to bring the phone


class AimingHint:
    """Filter of the decoder's hints that passes one after a while. Time is an argument."""

    def __init__(self) -> None:
        self._since_s: float | None = None  # since when every frame had a hint

    def update(self, hint: Hint | None, now_s: float) -> Hint | None:
        """Record a frame's hint and return the one to show; None: nothing to show.

        ``now_s`` is monotonic.
        """
        if hint is None:
            self._since_s = None
            return None
        if self._since_s is None:
            self._since_s = now_s
        return hint if now_s - self._since_s >= _STEADY_S else None
