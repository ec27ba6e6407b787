"""The ladder: rungs in order of gain per cost, until a read or the end of the time budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.decode.counters import RungCount, monotonic_ms
from edge.decode.rungs import RUNGS, Rung
from edge.decode.scene import FrameAnalysis
from edge.ports import Symbol


class Ladder:
    """``Decoder`` of single pictures. It remembers nothing between pictures but its counters."""

    def __init__(
        self,
        rungs: Sequence[Rung] = RUNGS,
        *,
        budget_ms: float | None = None,
        clock_ms: Callable[[], float] = monotonic_ms,
    ) -> None:
        """Set the rungs, lowest first.

        No rung starts later than ``budget_ms`` into a picture; None: all rungs are tried.
        """
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
        except Exception:  # noqa: BLE001 - a native library may raise anything; only that rung fails
            count.faults += 1
            symbols = ()
        count.tries += 1
        count.reads += bool(symbols)
        count.busy_ms += self._clock_ms() - started_ms
        return symbols


def distinct(symbols: Sequence[Symbol]) -> tuple[Symbol, ...]:
    """Return the first symbol of each content: a payload twice in a picture is one scan."""
    found: dict[bytes, Symbol] = {}
    for symbol in symbols:
        found.setdefault(symbol.content, symbol)
    return tuple(found.values())
