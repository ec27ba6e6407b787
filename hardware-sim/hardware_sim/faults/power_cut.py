"""Power cuts: a program in its own process that ends without warning."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress


class PoweredProcess:
    """A program that can be killed at any moment. Its standard output is read line by line.

    A killed process leaves the page cache intact: this shows what survives a crash of the program,
    not what a disk loses that ignores fsync.
    """

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start ``command`` as the leader of its own process group; ``env`` adds variables."""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._stdout = self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self._rest = b""
        self._cut = False

    def wait_for_line(self, text: str, timeout_s: float = 20.0) -> str:
        """Return the first line of output that contains ``text``.

        Raises TimeoutError, or EOFError when the program has ended.
        """
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while True:
                *lines, self._rest = self._rest.split(b"\n")
                for index, line in enumerate(lines):
                    if text.encode() in line:
                        self._rest = b"\n".join([*lines[index + 1 :], self._rest])
                        return line.decode(errors="replace")
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError(f"no line with {text!r} in {timeout_s} s")
                chunk = self._stdout.read(65536)
                if chunk == b"":
                    code = self._process.wait()
                    raise EOFError(f"the program ended (code {code}) without a line with {text!r}")
                self._rest += chunk or b""

    @property
    def running(self) -> bool:
        """Whether the program still runs."""
        return self._process.poll() is None

    def cut_power(self) -> None:
        """Kill the program and its children: no handler runs, nothing is flushed.

        Safe to call twice.
        """
        if not self._cut:
            self._cut = True
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def switch_off(self, timeout_s: float = 10.0) -> int:
        """Ask the program to end (SIGTERM) and return its exit code.

        Raises subprocess.TimeoutExpired.
        """
        self._process.terminate()
        return self._process.wait(timeout_s)

    def __enter__(self) -> PoweredProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut_power()
        self._stdout.close()
