"""A serial line for questions and answers, opened again by itself after it was lost."""

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
_KEEPS: Final = 256  # bytes of a chattering line; a frame is far shorter


class LineLostError(EdgeError):
    """The line is not there, or went away. The message says what to do."""


class SerialLine:
    """One port, 8N1. Safe for several threads: a question and its answer are not torn apart."""

    def __init__(self, port: str, baud: int) -> None:
        """Nothing is opened yet: the adapter may be plugged in later."""
        self._port = port
        self._baud = baud
        self._line: Any = None
        self._one_at_a_time = threading.Lock()
        self._closed = False

    def ask(
        self, question: bytes, find: Callable[[bytes], T | None], *, timeout_s: float
    ) -> T | None:
        """Send ``question``; return what ``find`` makes of all that came back, None when nothing came in time.

        What lay in the buffer before is thrown away. Raises LineLostError.
        """
        with self._one_at_a_time:
            return self._guarded(lambda line: self._ask(line, question, find, timeout_s))

    def tell(self, order: bytes) -> None:
        """Send ``order`` and wait until it is out. Raises LineLostError; then it may be out, or half of it."""
        with self._one_at_a_time:
            self._guarded(lambda line: _send(line, order))

    def close(self) -> None:
        """Release the port; it is not opened again. Safe to call twice."""
        with self._one_at_a_time:
            self._closed = True
            self._drop()

    def _ask(
        self, line: Any, question: bytes, find: Callable[[bytes], T | None], timeout_s: float
    ) -> T | None:
        line.reset_input_buffer()
        _send(line, question)
        received = b""
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            received = (received + line.read(max(1, line.in_waiting)))[-_KEEPS:]
            found = find(received)
            if found is not None:
                return found
        return None

    def _guarded(self, use: Callable[[Any], T]) -> T:
        if self._closed:
            raise LineLostError(f"{self._port} is closed")
        try:
            if self._line is None:
                self._line = self._open()
            return use(self._line)
        except Exception as error:  # pyserial: SerialException, OSError, termios.error, TypeError
            self._drop()
            raise LineLostError(
                f"{self._port}: {error}: is the adapter plugged in, and this user in group dialout?"
            ) from error

    def _open(self) -> Any:
        import serial

        return serial.Serial(
            self._port, self._baud, timeout=_SLICE_S, write_timeout=_WRITE_S, exclusive=True
        )

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with suppress(Exception):  # it is gone already
                line.close()


def _send(line: Any, content: bytes) -> None:
    line.write(content)
    line.flush()
