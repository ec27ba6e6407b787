"""Fork server: a small process that forks worker processes on demand.

The workers share its pages, so that the modules they use take memory once. It must itself be forked
while the parent has one thread and holds no camera, no pins, no store: early. It loads the modules
that only workers need, while the parent goes on. It and its workers end when the parent ends, even
by SIGKILL.
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

_REPLY_S: Final = 1.0  # a fork takes milliseconds
_LOAD_S: Final = 60.0  # from a slow card
_LOADED: Final = b"."
_END_S: Final = 1.0
_REQUEST_BYTES: Final = 1 << 16
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h

Work = Callable[[Connection], None]


class ForkedProcess:
    """A worker of the fork server, held by its pidfd: unlike its PID, that is never reused."""

    def __init__(self, pidfd: int) -> None:
        self._pidfd: int | None = pidfd

    def end(self) -> None:
        """Kill it in any state and wait until it is gone. Safe to call twice."""
        if self._pidfd is None:
            return
        pidfd, self._pidfd = self._pidfd, None
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        gone = select.poll()
        gone.register(pidfd, select.POLLIN)
        gone.poll(_END_S * 1000)
        os.close(pidfd)


class ForkServer:
    """Parent's side of the fork server. Not for use by two threads at once."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        """Fork the server, which then imports the modules ``preload``.

        Raises OSError when the system has no room for a process.
        """
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gc.freeze()  # before the fork, as below
        self.pid = os.fork()
        if self.pid == 0:
            _run_server(far, preload)
        far.close()
        near.settimeout(_REPLY_S)
        self._channel = near
        self._closed = False
        self._ready = False

    def is_ready(self, wait_s: float = 0.0) -> bool:
        """Return whether it has imported its modules, after up to ``wait_s``.

        Raises OSError when the server is gone; it cannot be used from then on.
        """
        if self._closed:
            raise ConnectionResetError("the fork server is closed")
        if not self._ready and select.select([self._channel], [], [], wait_s)[0]:
            self._ready = self._channel.recv(1) == _LOADED
            if not self._ready:
                self.close()
                raise ConnectionResetError("the fork server ended while it loaded")
        return self._ready

    def start(self, work: Work, pipe: Connection) -> ForkedProcess:
        """Fork a process that does ``work`` on ``pipe`` and ends.

        ``work`` is pickled; the caller closes ``pipe``. Waits until the server is ready. Raises
        OSError when it is gone or does not reply; it cannot be used from then on.
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
        """End the server and its workers. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._channel.close()
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)  # a child's PID is not reused before waitpid
            os.waitpid(self.pid, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _run_server(channel: socket.socket, preload: Sequence[str]) -> NoReturn:
    """Fork for each request until the parent is gone."""
    status = 1
    try:
        _detach_from_parent(channel.fileno())
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
                work = pickle.loads(request)  # noqa: S301 - from the process that forked this one
                _run_worker(work, fds[0], fork_server)
            os.close(fds[0])
            _send_pidfd(channel, child)
        status = 0
    finally:
        os._exit(status)


def _load(modules: Sequence[str]) -> None:
    for name in modules:
        import_module(name)
    gc.collect()
    gc.freeze()  # a collection would write to every object, and so copy every page
    gc.enable()  # the parent may have switched it off before the fork


def _send_pidfd(channel: socket.socket, child: int) -> None:
    pidfd = os.pidfd_open(child)
    try:
        socket.send_fds(channel, [b"+"], [pidfd])
    finally:
        os.close(pidfd)


def _detach_from_parent(channel: int) -> None:
    """Reset signal handlers and close every file but the channel and standard error.

    Workers leave no zombies. The signals that ask a service to stop are ignored: the parent
    decides, and the end of the channel is its decision.
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
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.closerange(3, channel)
    os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))


def _run_worker(work: Work, pipe: int, fork_server: int) -> NoReturn:
    """Do ``work`` and end; the kernel kills the worker when the fork server ends first."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == fork_server:  # else it ended before it could be watched
            work(Connection(pipe))
            status = 0
    except Exception:  # noqa: BLE001 - the process ends here, and no caller would print it
        traceback.print_exc()
    finally:
        os._exit(status)
