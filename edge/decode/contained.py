"""The live decoder in a process of its own, so that a frame which hangs or crashes native code costs that frame alone.

Frames go over in shared memory, results come back through a pipe. A process that has not answered in time is killed,
one that died is replaced; meanwhile frames are looked at by nobody, and nothing waits. The replacement is forked from
a server that has the libraries loaded, and is ready within some tens of milliseconds.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.shared_memory import SharedMemory

import numpy as np
from numpy.typing import NDArray

from edge.decode.advice import Hint
from edge.decode.counters import RungCount
from edge.decode.live import LiveDecoder
from edge.ports import Symbol

_HANG_MS = 1500.0  # beyond any budget: the process is lost
_RETIRE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Answer:
    symbols: tuple[Symbol, ...]
    counts: Mapping[str, RungCount]
    hint: Hint | None


@dataclass(slots=True)
class _Worker:
    process: ForkServerProcess
    pipe: Connection
    memory: SharedMemory
    ready: bool = False

    def end(self) -> None:
        """Kill and forget. Safe whatever state the process is in."""
        self.process.kill()
        self.process.join(_RETIRE_S)
        self.pipe.close()
        self.memory.close()
        with contextlib.suppress(FileNotFoundError):
            self.memory.unlink()


class ContainedDecoder:
    """A ``LiveDecoder`` behind a wall. Not for use by two threads at once."""

    def __init__(
        self,
        *,
        budget_ms: float = 60.0,
        hang_ms: float = _HANG_MS,
        make: Callable[[float], LiveDecoder] | None = None,
    ) -> None:
        """``hang_ms``: a frame that takes longer is given up and its process replaced. ``make``: see ``_serve``."""
        self._budget_ms = budget_ms
        self._hang_ms = max(hang_ms, 4 * budget_ms)
        self._make = make or _make
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._worker: _Worker | None = None
        self._past: dict[str, RungCount] = {}  # what processes before this one have counted
        self._current: Mapping[str, RungCount] = {}
        self.lost = RungCount()  # frames given up: tries that hung or crashed, and the time they cost
        self.hint: Hint | None = None

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return the codes read in this frame (height, width); none while a process starts."""
        worker = self._ready_for(grey.nbytes)
        if worker is None:
            return ()
        np.ndarray(grey.shape, np.uint8, worker.memory.buf)[...] = grey
        try:
            worker.pipe.send(grey.shape)
            if not worker.pipe.poll(self._hang_ms / 1000):
                return self._give_up(self._hang_ms)
            answer: _Answer = worker.pipe.recv()
        except (EOFError, OSError):
            return self._give_up(0.0)
        self._current, self.hint = answer.counts, answer.hint
        return answer.symbols

    def wake(self) -> None:
        """Somebody is there, says a presence sensor: look at every frame for a while."""
        if self._worker is not None and self._worker.ready:
            with contextlib.suppress(OSError):
                self._worker.pipe.send(None)

    @property
    def counts(self) -> Mapping[str, RungCount]:
        """Tries, reads, faults and milliseconds by rung, over all processes so far."""
        names = [*self._past, *(name for name in self._current if name not in self._past)]
        none = RungCount()
        total = {name: self._past.get(name, none).plus(self._current.get(name, none)) for name in names}
        return total | {"lost": self.lost}

    def close(self) -> None:
        """End the process and free the memory. Safe to call twice."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _ready_for(self, size: int) -> _Worker | None:
        if self._worker is not None and self._worker.memory.size < size:
            self.close()
        if self._worker is None:
            self._worker = self._start(size)
        worker = self._worker
        try:
            if not worker.ready and worker.pipe.poll(0):
                worker.pipe.recv()
                worker.ready = True
        except (EOFError, OSError):
            self._give_up(0.0)
            return None
        return worker if worker.ready else None

    def _start(self, size: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        memory = SharedMemory(create=True, size=size)
        process = self._context.Process(
            target=_serve, args=(theirs, memory.name, self._make, self._budget_ms), daemon=True, name="decoder"
        )
        process.start()
        theirs.close()
        return _Worker(process, ours, memory)

    def _give_up(self, spent_ms: float) -> tuple[Symbol, ...]:
        self.lost = self.lost.plus(RungCount(tries=1, faults=1, busy_ms=spent_ms))
        self._past = {name: count for name, count in self.counts.items() if name != "lost"}
        self._current = {}
        self.hint = None
        self.close()
        return ()


def _make(budget_ms: float) -> LiveDecoder:
    return LiveDecoder(budget_ms=budget_ms)


def _serve(pipe: Connection, name: str, make: Callable[[float], LiveDecoder], budget_ms: float) -> None:
    """The process: a frame's shape comes in, its codes go out, until the pipe closes."""
    memory = SharedMemory(name=name)
    decoder = make(budget_ms)
    pipe.send("ready")
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            shape = pipe.recv()
            if shape is None:
                decoder.wake()
                continue
            grey: NDArray[np.uint8] = np.ndarray(shape, np.uint8, memory.buf)
            pipe.send(_Answer(tuple(decoder.decode(grey)), decoder.counts, decoder.hint))
            del grey
    memory.close()
