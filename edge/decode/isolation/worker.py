"""A decoder in a process of its own: frames go over in shared memory, what was read comes back through a pipe.

A process that has not answered in time is killed, one that died is replaced; nothing waits for the new one.
It is forked from a process that has the libraries loaded already, and so is ready within some tens of milliseconds:
from a fork server, whose pages it shares, or where there is none from Python's own server, which loads them a second time.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.decode.counters import RungCount
from edge.decode.isolation.fork_server import ForkServer, Work
from edge.ports import Hint, Quad, Symbol

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

_RETIRE_S = 1.0


class IsolatableDecoder(Protocol):
    """What can work behind a wall."""

    hint: Hint | None
    unread: Quad | None

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return the codes read in a frame (height, width)."""
        ...

    def wake(self) -> None:
        """Look at every frame for a while."""
        ...

    @property
    def counts(self) -> Mapping[str, RungCount]:
        """Tries, reads, faults and milliseconds by rung."""
        ...


@dataclass(frozen=True, slots=True)
class DecodeReply:
    """What came of one frame."""

    symbols: tuple[Symbol, ...] = ()
    hint: Hint | None = None
    unread: Quad | None = None  # where a code was seen and not read


class DecoderProcess:
    """One decoder process and its replacements. At most one frame is behind it at a time."""

    def __init__(
        self,
        make: Callable[[], IsolatableDecoder],
        *,
        clock_ms: Callable[[], float],
        hang_ms: float,
        fork_server: ForkServer | None = None,
    ) -> None:
        """``make`` is called in the process. ``hang_ms``: a frame that takes longer is lost, and its process."""
        self._make = make
        self._fork_server = fork_server
        self._clock_ms = clock_ms
        self._hang_ms = hang_ms
        self._worker: _Worker | None = None
        self._sent_ms: float | None = None  # when the frame behind the wall went over
        self._past: dict[str, RungCount] = {}  # counted by processes before this one
        self._counts: Mapping[str, RungCount] = {}
        self.lost = RungCount()  # frames that hung or crashed, and the time they cost

    def give(self, grey: NDArray[np.uint8]) -> bool:
        """Hand a frame over; False, and no waiting, while a process starts or has a frame already."""
        if self._sent_ms is not None or (worker := self._ready_for(grey.nbytes)) is None:
            return False
        np.ndarray(grey.shape, np.uint8, worker.memory)[...] = grey
        try:
            worker.pipe.send(grey.shape)
        except OSError:
            self._lose()
            return False
        self._sent_ms = self._clock_ms()
        return True

    def take(self, wait_ms: float | None = None) -> DecodeReply | None:
        """Return what came of the frame; None when there is none, or none yet. ``wait_ms`` None: until it is lost."""
        if self._worker is None or self._sent_ms is None:
            return None
        left_ms = self._hang_ms - (self._clock_ms() - self._sent_ms)
        try:
            if self._worker.pipe.poll(
                max(0.0, left_ms if wait_ms is None else min(wait_ms, left_ms)) / 1000
            ):
                answer, self._counts = self._worker.pipe.recv()
                self._sent_ms = None
                assert isinstance(answer, DecodeReply)
                return answer
        except (EOFError, OSError):
            self._lose()
            return None
        if self._clock_ms() - self._sent_ms >= self._hang_ms:
            self._lose()
        return None

    def wake(self) -> None:
        """Pass on that somebody is there."""
        if self._worker is not None and self._worker.ready:
            with contextlib.suppress(OSError):
                self._worker.pipe.send(None)

    @property
    def counts(self) -> dict[str, RungCount]:
        """Tries, reads, faults and milliseconds by rung, over all processes so far."""
        none = RungCount()
        names = dict.fromkeys([*self._past, *self._counts])
        return {
            name: self._past.get(name, none).plus(self._counts.get(name, none)) for name in names
        }

    def close(self) -> None:
        """End the process and free the memory. Safe to call twice."""
        if self._worker is not None:
            self._worker.end()
        self._past, self._counts = self.counts, {}
        self._worker = self._sent_ms = None

    def _ready_for(self, size: int) -> _Worker | None:
        if self._worker is not None and len(self._worker.memory) < size:
            self.close()
        if self._worker is None:
            if self._fork_server_loads():
                return None
            self._worker = self._start(size)
        worker = self._worker
        try:
            if not worker.ready and worker.pipe.poll(0):
                worker.ready = worker.pipe.recv() is None
        except (EOFError, OSError):
            self._lose()
            return None
        return worker if worker.ready else None

    def _fork_server_loads(self) -> bool:
        """Whether there is a fork server that is not ready yet: nothing waits for it."""
        try:
            return self._fork_server is not None and not self._fork_server.is_ready()
        except OSError:
            self._fork_server = None
            return False

    def _start(self, size: int) -> _Worker:
        memory_fd = os.memfd_create("frame")
        try:
            os.ftruncate(memory_fd, size)
            memory = mmap.mmap(memory_fd, size)
            near, far = socket.socketpair()
            socket.send_fds(near, [b"m"], [memory_fd])
        finally:
            os.close(memory_fd)
        ours, theirs = Connection(near.detach()), Connection(far.detach())
        try:
            return _Worker(self._forked(partial(_serve, self._make), theirs), ours, memory)
        finally:
            theirs.close()

    def _forked(self, work: Work, pipe: Connection) -> _Process:
        if self._fork_server is not None:
            try:
                return self._fork_server.start(work, pipe)
            except OSError:
                self._fork_server = None
        return _served(work, pipe)

    def _lose(self) -> None:
        spent_ms = 0.0 if self._sent_ms is None else self._clock_ms() - self._sent_ms
        self.lost = self.lost.plus(RungCount(tries=1, faults=1, busy_ms=spent_ms))
        self.close()


class _Process(Protocol):
    def end(self) -> None:
        """Kill it, whatever state it is in."""
        ...


@dataclass(frozen=True, slots=True)
class _Served:
    """A process of Python's own server."""

    process: ForkServerProcess

    def end(self) -> None:
        self.process.kill()
        self.process.join(_RETIRE_S)


def _served(work: Work, pipe: Connection) -> _Served:
    import multiprocessing  # where there is no fork_server, and only there

    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["edge.decode.isolation.decoder", "edge.decode.live"])
    process = server.Process(target=work, args=(pipe,), daemon=True)
    process.start()
    return _Served(process)


@dataclass(slots=True)
class _Worker:
    process: _Process
    pipe: Connection
    memory: mmap.mmap
    ready: bool = False

    def end(self) -> None:
        """Kill and forget, whatever state the process is in."""
        self.process.end()
        self.pipe.close()
        self.memory.close()


def _serve(make: Callable[[], IsolatableDecoder], pipe: Connection) -> None:
    """The process: a frame's shape comes in, its codes go out, until the pipe closes."""
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        memory = _received(pipe)
        decoder = make()
        pipe.send(None)  # ready
        while True:
            shape = pipe.recv()
            if shape is None:
                decoder.wake()
                continue
            grey: NDArray[np.uint8] = np.ndarray(shape, np.uint8, memory)
            symbols = tuple(decoder.decode(grey))
            pipe.send((DecodeReply(symbols, decoder.hint, decoder.unread), dict(decoder.counts)))


def _received(pipe: Connection) -> mmap.mmap:
    """The memory that goes with a pipe: its descriptor comes first."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as channel:
        _, (memory_fd,), _, _ = socket.recv_fds(channel, 1, 1)
    try:
        return mmap.mmap(memory_fd, 0)
    finally:
        os.close(memory_fd)
