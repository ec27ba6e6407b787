"""Decoding for a live camera: the first rung on every frame, one deeper rung in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from edge.decode.counters import RungCount
from edge.decode.ladder import Ladder, monotonic_ms
from edge.decode.rungs import RUNGS, Rung
from edge.decode.scene import Scene
from edge.ports import Symbol


class LiveDecoder:
    """Reads the frames of one camera, newest first: a frame without a code stays cheap, a hard code is read soon."""

    def __init__(
        self,
        rungs: Sequence[Rung] = RUNGS,
        *,
        budget_ms: float = 60.0,
        clock_ms: Callable[[], float] = monotonic_ms,
    ) -> None:
        """``budget_ms``: no rung starts later than this into a frame."""
        self._ladder = Ladder(rungs, budget_ms=budget_ms, clock_ms=clock_ms)
        self._first = rungs[0]
        self._deeper = cycle(rungs[1:] or rungs)
        self._budget_ms = budget_ms
        self._clock_ms = clock_ms

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return the codes read in this frame (height, width)."""
        started_ms, scene = self._clock_ms(), Scene(grey)
        if symbols := self._ladder.climb(self._first, scene):
            return symbols
        if self._clock_ms() - started_ms >= self._budget_ms:
            return ()
        return self._ladder.climb(next(self._deeper), scene)

    @property
    def counts(self) -> Mapping[str, RungCount]:
        """Tries, reads, faults and milliseconds by rung."""
        return self._ladder.counts

    def close(self) -> None:
        """Release what decoding holds. Safe to call twice."""
