"""Framing of a scan engine's bytes into codes, one a line. Pure: time is an argument."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 1024  # bytes of one code; tokens end at 512
_GAP_S: Final = 0.5  # a code is sent without a pause: what stands before one does not continue
_CONTROL: Final = bytes((*range(0x20), 0x7F))


class LineFramer:
    """Collector of bytes until CR or LF.

    It discards empty codes, control bytes around a code (NUL at power-up, an STX prefix), codes
    longer than ``LONGEST``, and a partial code after which nothing came for half a second.
    """

    def __init__(self) -> None:
        self._partial = bytearray()
        self._too_long = False
        self._last_s = float("-inf")

    def feed(self, content: bytes, now_s: float) -> list[bytes]:
        """Add received bytes and return the codes that they complete. ``now_s`` is monotonic."""
        if not content:
            return []
        if now_s - self._last_s > _GAP_S:
            self.reset()
        self._last_s = now_s
        *ended, rest = content.replace(b"\r", b"\n").split(b"\n")
        codes = [code for part in ended if (code := self._end(part))]
        self._add(rest)
        return codes

    def reset(self) -> None:
        """Discard a partial code."""
        self._partial.clear()
        self._too_long = False

    def _add(self, part: bytes) -> None:
        self._partial += part
        if len(self._partial) > LONGEST:
            self._too_long = True
            self._partial.clear()

    def _end(self, part: bytes) -> bytes:
        self._add(part)
        code = b"" if self._too_long else bytes(self._partial).strip(_CONTROL)
        self.reset()
        return code
