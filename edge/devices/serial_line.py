"""Serial line for queries and commands, opened again by itself after it was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from edge.values.errors import EdgeError

T = TypeVar("T")

_SLICE_S: Final = 0.01  # how long one read waits
_WRITE_S: Final = 0.5
_MOST_RECEIVED: Final = 256  # bytes kept of a noisy line; a frame is much shorter


class LineLostError(EdgeError):
    """The line is missing or was lost. The message says what to do."""


class SerialLine:
    """One port, 8N1. Safe for several threads: nothing is sent between a query and its reply."""

    def __init__(self, port: str, baud: int) -> None:
        """Open nothing yet: the adapter may be plugged in later."""
        self._port = port
        self._baud = baud
        self._line: Any = None
        self._one_at_a_time = threading.Lock()
        self._closed = False

    def query(
        self, request: bytes, find: Callable[[bytes], T | None], *, timeout_s: float
    ) -> T | None:
        """Send ``request`` and return what ``find`` finds in the bytes received since.

        None: it found nothing in time. Bytes received before are discarded. Raises LineLostError.
        """
        with self._one_at_a_time:
            return self._use(lambda line: _query(line, request, find, timeout_s))

    def send(self, command: bytes) -> None:
        """Send ``command`` and wait until it is out.

        Raises LineLostError; the command, or a part of it, may have been sent all the same.
        """
        with self._one_at_a_time:
            self._use(lambda line: _send(line, command))

    def close(self) -> None:
        """Release the port; it is not opened again. Safe to call twice."""
        with self._one_at_a_time:
            self._closed = True
            self._release()

    def _use(self, use: Callable[[Any], T]) -> T:
        if self._closed:
            raise LineLostError(f"{self._port} is closed")
        try:
            if self._line is None:
                self._line = self._open()
            return use(self._line)
        except Exception as error:  # pyserial: SerialException, OSError, termios.error, TypeError
            self._release()
            raise LineLostError(
                f"{self._port}: {error}: is the adapter plugged in, and this user in group dialout?"
            ) from error

    def _open(self) -> Any:
        import serial

        return serial.Serial(
            self._port, self._baud, timeout=_SLICE_S, write_timeout=_WRITE_S, exclusive=True
        )

    def _release(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with suppress(Exception):  # a lost port cannot be closed
                line.close()


def _query(
    line: Any, request: bytes, find: Callable[[bytes], T | None], timeout_s: float
) -> T | None:
    line.reset_input_buffer()
    _send(line, request)
    received = b""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        received = (received + line.read(max(1, line.in_waiting)))[-_MOST_RECEIVED:]
        found = find(received)
        if found is not None:
            return found
    return None


def _send(line: Any, content: bytes) -> None:
    line.write(content)
    line.flush()
