"""The ladder: rungs in order of gain per cost, until a read or until the picture's budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.decode.counters import RungCount, monotonic_ms
from edge.decode.rungs import RUNGS, Rung
from edge.decode.scene import FrameAnalysis
from edge.ports import Symbol


class Ladder:
    """Reads one picture at a time, with no memory between pictures but its counters. A ``Decoder``."""

    def __init__(
        self,
        rungs: Sequence[Rung] = RUNGS,
        *,
        budget_ms: float | None = None,
        clock_ms: Callable[[], float] = monotonic_ms,
    ) -> None:
        """``budget_ms``: no rung starts later than this into a picture; None climbs to the top."""
        self._rungs = tuple(rungs)
        self._budget_ms = float("inf") if budget_ms is None else budget_ms
        self._clock_ms = clock_ms
        self.counts: dict[str, RungCount] = {rung.name: RungCount() for rung in rungs}

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return the codes the first successful rung reads in ``grey`` (height, width)."""
        deadline_ms = self._clock_ms() + self._budget_ms
        scene = FrameAnalysis(grey, has_time=lambda: self._clock_ms() < deadline_ms)
        for rung in self._rungs:
            if symbols := self.climb(rung, scene):
                return symbols
            if not scene.has_time():
                break
        return ()

    def climb(self, rung: Rung, scene: FrameAnalysis) -> tuple[Symbol, ...]:
        """Try one rung and count it. A rung that raises has read nothing."""
        count, started_ms = self.counts[rung.name], self._clock_ms()
        try:
            symbols = distinct(rung.read(scene))
        except Exception:  # noqa: BLE001 - whatever a native library throws at a picture costs that rung alone
            count.faults += 1
            symbols = ()
        count.tries += 1
        count.reads += bool(symbols)
        count.busy_ms += self._clock_ms() - started_ms
        return symbols


def distinct(symbols: Sequence[Symbol]) -> tuple[Symbol, ...]:
    """Return one symbol a content: the same payload twice in a picture is one scan."""
    found: dict[bytes, Symbol] = {}
    for symbol in symbols:
        found.setdefault(symbol.content, symbol)
    return tuple(found.values())
