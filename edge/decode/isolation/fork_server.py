"""A small process that forks others on demand: they share its pages, and so what they load weighs once.

It must be forked itself while this process has one thread and holds no camera, no pins, no store: early. What only
those others need it loads itself, while this process goes on to load the rest. It and all that it forked end when
this process does, however that comes about.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import select
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Final, NoReturn, Self

_ANSWER_S: Final = 1.0  # a fork takes milliseconds
_LOAD_S: Final = 60.0  # from a slow card
_LOADED: Final = b"."
_RETIRE_S: Final = 1.0
_REQUEST_BYTES: Final = 1 << 16
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h

Work = Callable[[Connection], None]


class ForkedProcess:
    """A process that the fork server forked, held by its pidfd: its number may be another's by now, this never is."""

    def __init__(self, pidfd: int) -> None:
        self._pidfd: int | None = pidfd

    def end(self) -> None:
        """Kill it, whatever state it is in, and wait until it is gone. Safe to call twice."""
        if self._pidfd is None:
            return
        pidfd, self._pidfd = self._pidfd, None
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        gone = select.poll()
        gone.register(pidfd, select.POLLIN)
        gone.poll(_RETIRE_S * 1000)
        os.close(pidfd)


class ForkServer:
    """The process, from the side of the one that asks. Not for use by two threads at once."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        """Fork it; it loads the modules ``preload``. Raises OSError when the system has no room for a process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gc.freeze()  # before the fork, as below
        self.pid = os.fork()
        if self.pid == 0:
            _live(theirs, preload)
        theirs.close()
        ours.settimeout(_ANSWER_S)
        self._channel = ours
        self._closed = False
        self._ready = False

    def is_ready(self, wait_s: float = 0.0) -> bool:
        """Whether it has loaded what it was told to. Raises OSError when it is gone, and is of no use from then on."""
        if self._closed:
            raise ConnectionResetError("the fork server is closed")
        if not self._ready and select.select([self._channel], [], [], wait_s)[0]:
            self._ready = self._channel.recv(1) == _LOADED
            if not self._ready:
                self.close()
                raise ConnectionResetError("the fork server ended while it loaded")
        return self._ready

    def start(self, work: Work, pipe: Connection) -> ForkedProcess:
        """Fork a process that does ``work`` on ``pipe`` and ends. ``work`` is pickled; the caller closes ``pipe``.

        Waits until it is ready. Raises OSError when it is gone or does not answer; it is of no use from then on.
        """
        self.is_ready(_LOAD_S)
        try:
            socket.send_fds(self._channel, [pickle.dumps(work)], [pipe.fileno()])
            _, fds, _, _ = socket.recv_fds(self._channel, 1, 1)
            if not fds:
                raise ConnectionResetError("the fork server forked nothing")
        except OSError:
            self.close()
            raise
        return ForkedProcess(fds[0])

    def close(self) -> None:
        """End it and all that it forked. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._channel.close()
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(
                self.pid, signal.SIGKILL
            )  # ours until it is waited for: no other can have the number
            os.waitpid(self.pid, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _live(channel: socket.socket, preload: Sequence[str]) -> NoReturn:
    """The fork_server: fork for each request, until the other side is gone."""
    status = 1
    try:
        _forget_the_parent(channel.fileno())
        _load(preload)
        channel.send(_LOADED)
        fork_server = os.getpid()
        while True:
            request, fds, _, _ = socket.recv_fds(channel, _REQUEST_BYTES, 1)
            if not request:
                break
            child = os.fork()
            if child == 0:
                channel.close()
                _work(pickle.loads(request), fds[0], fork_server)  # noqa: S301 - from our own process, which forked us
            os.close(fds[0])
            _tell(channel, child)
        status = 0
    finally:
        os._exit(status)


def _load(modules: Sequence[str]) -> None:
    for name in modules:
        import_module(name)
    gc.collect()
    gc.freeze()  # a collection would write to every object, and so copy every page
    gc.enable()  # whatever it was when this was forked


def _tell(channel: socket.socket, child: int) -> None:
    pidfd = os.pidfd_open(child)
    try:
        socket.send_fds(channel, [b"+"], [pidfd])
    finally:
        os.close(pidfd)


def _forget_the_parent(channel: int) -> None:
    """No signal handler, no open file but the channel and standard error; whoever is forked leaves no zombie.

    The signals that ask a service to stop are the parent's to judge: the end of the channel tells what it judged.
    """
    for number in signal.valid_signals() - {
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGPIPE,
        signal.SIGXFSZ,
    }:
        if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN, None):
            signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.closerange(3, channel)
    os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))


def _work(work: Work, pipe: int, fork_server: int) -> NoReturn:
    """What was forked: do the work and end, at the latest with the fork server, even in the middle of a hang."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == fork_server:  # else it ended before it could be watched
            work(Connection(pipe))
            status = 0
    except Exception:  # noqa: BLE001 - the process ends here, and nothing above would print it
        traceback.print_exc()
    finally:
        os._exit(status)
