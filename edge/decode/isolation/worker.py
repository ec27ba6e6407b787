"""Decoder in a process of its own: frames go over in shared memory, replies come by a pipe.

A process that does not reply in time is killed, and one that died is replaced; nothing waits for
the new one. It is forked from a process that has the libraries loaded, and so is ready within some
tens of milliseconds: from a ``ForkServer``, whose pages it shares, or without one from Python's own
fork server, which loads the libraries a second time.
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

_END_S = 1.0


class IsolatableDecoder(Protocol):
    """A decoder that a ``DecoderProcess`` can run."""

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
        """Return tries, reads, faults and milliseconds by rung."""
        ...


@dataclass(frozen=True, slots=True)
class DecodeReply:
    """Result of one frame."""

    symbols: tuple[Symbol, ...] = ()
    hint: Hint | None = None
    unread: Quad | None = None  # where a code was seen and not read


class DecoderProcess:
    """One decoder process and its replacements. It has at most one frame at a time."""

    def __init__(
        self,
        make: Callable[[], IsolatableDecoder],
        *,
        clock_ms: Callable[[], float],
        hang_ms: float,
        fork_server: ForkServer | None = None,
    ) -> None:
        """Prepare the process; it starts with the first frame.

        ``make`` makes the decoder, in the process. ``hang_ms``: a frame that takes longer is lost,
        and its process killed.
        """
        self._make = make
        self._fork_server = fork_server
        self._clock_ms = clock_ms
        self._hang_ms = hang_ms
        self._worker: _Worker | None = None
        self._sent_ms: float | None = None  # when the present frame was sent; None: no frame
        self._past: dict[str, RungCount] = {}  # counts of earlier processes
        self._counts: Mapping[str, RungCount] = {}
        self.lost = RungCount()  # frames that hung or crashed, and the time they cost

    def submit(self, grey: NDArray[np.uint8]) -> bool:
        """Send a frame. Return False at once while the process starts or has a frame already."""
        if self._sent_ms is not None or (worker := self._ready_worker(grey.nbytes)) is None:
            return False
        np.ndarray(grey.shape, np.uint8, worker.memory)[...] = grey
        try:
            worker.pipe.send(grey.shape)
        except OSError:
            self._record_loss()
            return False
        self._sent_ms = self._clock_ms()
        return True

    def poll(self, wait_ms: float | None = None) -> DecodeReply | None:
        """Wait for the frame's result up to ``wait_ms``; None: until the frame counts as lost.

        Return None when there is no frame, no result yet, or the frame was lost.
        """
        if self._worker is None or self._sent_ms is None:
            return None
        left_ms = self._hang_ms - (self._clock_ms() - self._sent_ms)
        try:
            if self._worker.pipe.poll(
                max(0.0, left_ms if wait_ms is None else min(wait_ms, left_ms)) / 1000
            ):
                reply, self._counts = self._worker.pipe.recv()
                self._sent_ms = None
                assert isinstance(reply, DecodeReply)
                return reply
        except (EOFError, OSError):
            self._record_loss()
            return None
        if self._clock_ms() - self._sent_ms >= self._hang_ms:
            self._record_loss()
        return None

    def wake(self) -> None:
        """Wake the decoder, if its process is ready."""
        if self._worker is not None and self._worker.ready:
            with contextlib.suppress(OSError):
                self._worker.pipe.send(None)

    @property
    def counts(self) -> dict[str, RungCount]:
        """Return tries, reads, faults and milliseconds by rung, over all processes so far."""
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

    def _ready_worker(self, size: int) -> _Worker | None:
        """Return a worker with room for ``size`` bytes; None while it starts."""
        if self._worker is not None and len(self._worker.memory) < size:
            self.close()
        if self._worker is None:
            if self._fork_server_is_loading():
                return None
            self._worker = self._start(size)
        worker = self._worker
        try:
            if not worker.ready and worker.pipe.poll(0):
                worker.ready = worker.pipe.recv() is None
        except (EOFError, OSError):
            self._record_loss()
            return None
        return worker if worker.ready else None

    def _fork_server_is_loading(self) -> bool:
        """Return whether a fork server is not ready yet. Gives up one that is gone."""
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
        own_pipe, its_pipe = Connection(near.detach()), Connection(far.detach())
        try:
            return _Worker(self._fork(partial(_serve, self._make), its_pipe), own_pipe, memory)
        finally:
            its_pipe.close()

    def _fork(self, work: Work, pipe: Connection) -> _Process:
        if self._fork_server is not None:
            try:
                return self._fork_server.start(work, pipe)
            except OSError:
                self._fork_server = None
        return _fork_by_python(work, pipe)

    def _record_loss(self) -> None:
        spent_ms = 0.0 if self._sent_ms is None else self._clock_ms() - self._sent_ms
        self.lost = self.lost.plus(RungCount(tries=1, faults=1, busy_ms=spent_ms))
        self.close()


class _Process(Protocol):
    def end(self) -> None:
        """Kill the process in any state."""
        ...


@dataclass(frozen=True, slots=True)
class _PythonProcess:
    """A process of Python's own fork server."""

    process: ForkServerProcess

    def end(self) -> None:
        self.process.kill()
        self.process.join(_END_S)


def _fork_by_python(work: Work, pipe: Connection) -> _PythonProcess:
    import multiprocessing  # slow to import, and needed only without a ForkServer

    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["edge.decode.isolation.decoder", "edge.decode.live"])
    process = server.Process(target=work, args=(pipe,), daemon=True)
    process.start()
    return _PythonProcess(process)


@dataclass(slots=True)
class _Worker:
    process: _Process
    pipe: Connection
    memory: mmap.mmap
    ready: bool = False

    def end(self) -> None:
        """Kill the process in any state, and free the memory."""
        self.process.end()
        self.pipe.close()
        self.memory.close()


def _serve(make: Callable[[], IsolatableDecoder], pipe: Connection) -> None:
    """Run in the worker process: read a frame's shape, send its codes, until the pipe closes."""
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        memory = _receive_memory(pipe)
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


def _receive_memory(pipe: Connection) -> mmap.mmap:
    """Return the shared memory, whose descriptor is the first message of the pipe."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as channel:
        _, (memory_fd,), _, _ = socket.recv_fds(channel, 1, 1)
    try:
        return mmap.mmap(memory_fd, 0)
    finally:
        os.close(memory_fd)
