"""The live decoder behind a wall, so that a frame which hangs or crashes native code costs that frame alone.

With a second core a second process climbs the whole ladder on the newest frame whenever it is free, and what it reads
is told with a later frame. No frame ever waits in a queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge.decode.counters import RungCount, monotonic_ms
from edge.decode.isolation.fork_server import ForkServer
from edge.decode.isolation.worker import DecoderProcess, IsolatableDecoder
from edge.ports import Hint, Quad, Symbol

_HANG_MS = 1500.0  # beyond any budget
_LOOK_EVERY_S = 0.005
_DEEP_FRAMES = 4.0  # the second core may take this many budgets for a frame


class IsolatedDecoder:
    """A ``LiveDecoder`` and, with two cores, a ladder beside it. Not for use by two threads at once."""

    def __init__(
        self,
        *,
        budget_ms: float = 60.0,
        cores: int = 1,
        hang_ms: float = _HANG_MS,
        clock_ms: Callable[[], float] = monotonic_ms,
        front: Callable[[], IsolatableDecoder] | None = None,
        fork_server: ForkServer | None = None,
        patience_s: float = 0.0,
    ) -> None:
        """``hang_ms``: a frame that takes longer is lost. ``front`` makes the decoder, in its process.

        ``fork_server`` forks the processes, and is the caller's to close, afterwards. ``patience_s``: how long a frame
        waits for a process that starts; for frames that come once, such as those of a file.
        """
        hang_ms = max(hang_ms, 2 * _DEEP_FRAMES * budget_ms)
        wall = partial(DecoderProcess, clock_ms=clock_ms, hang_ms=hang_ms, fork_server=fork_server)
        self._front = wall(front or partial(_live, budget_ms=budget_ms))
        self._beside = (
            wall(partial(_deep, budget_ms=_DEEP_FRAMES * budget_ms)) if cores > 1 else None
        )
        self._patience_s = patience_s
        self._outdated = False  # the frame beside is older than a read
        self.hint: Hint | None = None  # why the code in view is not read
        self.unread: Quad | None = None  # where it is

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return the codes read in this frame (height, width), or just now in one before; none while starting."""
        given = self._given(grey)
        late = self._late(grey)
        answer = self._front.take() if given else None
        self.hint, self.unread = (answer.hint, answer.unread) if answer else (None, None)
        if answer and answer.symbols:
            self._outdated = True
            return answer.symbols
        return late

    def _given(self, grey: NDArray[np.uint8]) -> bool:
        until_s = time.monotonic() + self._patience_s
        while not (given := self._front.give(grey)) and time.monotonic() < until_s:
            time.sleep(_LOOK_EVERY_S)
        return given

    def _late(self, grey: NDArray[np.uint8]) -> tuple[Symbol, ...]:
        """What the second core read in an earlier frame, if nothing was read since; hand it this frame."""
        if self._beside is None:
            return ()
        late = self._beside.take(0.0)
        symbols = late.symbols if late and not self._outdated else ()
        if self._beside.give(grey):
            self._outdated = False
        return symbols

    def wake(self) -> None:
        """Somebody is there, says a trigger or a presence sensor: look at every frame for a while."""
        self._front.wake()
        if self._beside:
            self._beside.wake()

    @property
    def counts(self) -> Mapping[str, RungCount]:
        """Tries, reads, faults and milliseconds by rung; under ``lost`` the frames that hung or crashed."""
        total = self._front.counts
        lost = self._front.lost
        if self._beside:
            lost = lost.plus(self._beside.lost)
            for name, count in self._beside.counts.items():
                total[name] = total.get(name, RungCount()).plus(count)
        return total | {"lost": lost}

    def close(self) -> None:
        """End the processes and free their memory. Safe to call twice."""
        self._front.close()
        if self._beside:
            self._beside.close()


def _live(budget_ms: float) -> IsolatableDecoder:
    """Made in its process, which alone loads what reads codes."""
    from edge.decode.live import LiveDecoder

    return LiveDecoder(budget_ms=budget_ms)


def _deep(budget_ms: float) -> IsolatableDecoder:
    from edge.decode.live import DeepDecoder

    return DeepDecoder(budget_ms=budget_ms)
