"""Scan engine on a serial line: USB CDC, a USB adapter or the Pi's UART."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import Any

from edge.capture.line_framing import LineFramer
from edge.config import SerialEngineSection as Section
from edge.ports import NO_QUAD, EngineError, Symbol


class SerialEngine:
    """``CodeSource`` over a serial port."""

    def __init__(self, section: Section) -> None:
        """Open the port, 8N1, and discard what was sent before. Raises EngineError."""
        import serial

        self._name = f"scan engine {section.port}"
        self._lines = LineFramer()
        self._codes: deque[bytes] = deque()
        self._line: Any = None
        try:
            # pyserial empties the receive buffer when it opens a port.
            self._line = serial.Serial(section.port, section.baud, exclusive=True)
        except Exception as error:  # pyserial: SerialException, OSError, termios.error, ValueError
            self.close()
            raise EngineError(
                f"{self._name} cannot be opened ({error}):"
                " is it plugged in, and this user in group dialout?"
            ) from error

    def read(self, timeout_s: float) -> Symbol | None:
        """Wait for the next whole code. Raises EngineError when the engine is unplugged."""
        if not self._codes:
            self._codes += self._lines.feed(self._receive(timeout_s), time.monotonic())
        if not self._codes:
            return None
        return Symbol(content=self._codes.popleft(), quad=NO_QUAD, decoder="serial")

    def close(self) -> None:
        """Release the port. Safe to call twice."""
        line, self._line = self._line, None
        if line is not None:
            with suppress(Exception):  # an unplugged port cannot be closed
                line.close()

    def _receive(self, timeout_s: float) -> bytes:
        try:
            self._line.timeout = timeout_s
            first = self._line.read(1)
            return bytes(first + self._line.read(self._line.in_waiting)) if first else b""
        except Exception as error:  # pyserial: SerialException, OSError, TypeError
            raise EngineError(f"{self._name} was unplugged ({error})") from error
