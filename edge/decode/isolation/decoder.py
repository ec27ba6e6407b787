"""The live decoder in another process: a frame that hangs or crashes native code is lost alone.

With a second core, a second process climbs the whole ladder on the newest frame whenever it is
free; what it reads is returned with a later frame. No frame ever waits in a queue.
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
_SUBMIT_EVERY_S = 0.005
_DEEP_BUDGETS = 4.0  # how many budgets the second process may take for a frame


class IsolatedDecoder:
    """Isolated ``LiveDecoder`` and, with two cores, a second process for the ladder.

    Not for use by two threads at once.
    """

    def __init__(
        self,
        *,
        budget_ms: float = 60.0,
        cores: int = 1,
        hang_ms: float = _HANG_MS,
        clock_ms: Callable[[], float] = monotonic_ms,
        make_decoder: Callable[[], IsolatableDecoder] | None = None,
        fork_server: ForkServer | None = None,
        start_wait_s: float = 0.0,
    ) -> None:
        """Prepare the processes; they start with the first frame.

        ``hang_ms``: a frame that takes longer is lost. ``make_decoder`` makes the first decoder, in
        its process. ``fork_server`` forks the processes; the caller closes it afterwards.
        ``start_wait_s``: how long a frame waits for a process that starts, for frames that come
        once, such as those of a file.
        """
        hang_ms = max(hang_ms, 2 * _DEEP_BUDGETS * budget_ms)
        isolated = partial(
            DecoderProcess, clock_ms=clock_ms, hang_ms=hang_ms, fork_server=fork_server
        )
        deep = partial(_make_deep, budget_ms=_DEEP_BUDGETS * budget_ms)
        self._first = isolated(make_decoder or partial(_make_live, budget_ms=budget_ms))
        self._second = isolated(deep) if cores > 1 else None
        self._start_wait_s = start_wait_s
        self._outdated = False  # the second process has a frame from before the last read
        self.hint: Hint | None = None  # why the code in view is not read
        self.unread: Quad | None = None  # where it is

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return the codes of this frame (height, width), or late ones of an earlier frame.

        Returns none while the process starts.
        """
        submitted = self._submit(grey)
        late = self._exchange_with_second(grey)
        reply = self._first.poll() if submitted else None
        self.hint, self.unread = (reply.hint, reply.unread) if reply else (None, None)
        if reply and reply.symbols:
            self._outdated = True
            return reply.symbols
        return late

    def _submit(self, grey: NDArray[np.uint8]) -> bool:
        until_s = time.monotonic() + self._start_wait_s
        while not (submitted := self._first.submit(grey)) and time.monotonic() < until_s:
            time.sleep(_SUBMIT_EVERY_S)
        return submitted

    def _exchange_with_second(self, grey: NDArray[np.uint8]) -> tuple[Symbol, ...]:
        """Return what the second process read in an earlier frame, and submit this frame to it.

        Returns none when a code was read since that frame.
        """
        if self._second is None:
            return ()
        late = self._second.poll(0.0)
        symbols = late.symbols if late and not self._outdated else ()
        if self._second.submit(grey):
            self._outdated = False
        return symbols

    def wake(self) -> None:
        """Look at every frame for a while: a trigger or a presence sensor is on."""
        self._first.wake()
        if self._second:
            self._second.wake()

    @property
    def counts(self) -> Mapping[str, RungCount]:
        """Return tries, reads, faults and milliseconds by rung.

        ``lost`` counts the frames that hung or crashed.
        """
        total = self._first.counts
        lost = self._first.lost
        if self._second:
            lost = lost.plus(self._second.lost)
            for name, count in self._second.counts.items():
                total[name] = total.get(name, RungCount()).plus(count)
        return total | {"lost": lost}

    def close(self) -> None:
        """End the processes and free their memory. Safe to call twice."""
        self._first.close()
        if self._second:
            self._second.close()


def _make_live(budget_ms: float) -> IsolatableDecoder:
    """Make the decoder in its process, which alone imports the libraries."""
    from edge.decode.live import LiveDecoder

    return LiveDecoder(budget_ms=budget_ms)


def _make_deep(budget_ms: float) -> IsolatableDecoder:
    from edge.decode.live import DeepDecoder

    return DeepDecoder(budget_ms=budget_ms)
