"""A serial port on a pseudo-terminal that can be unplugged: a path like those of /dev/serial/by-id."""

from __future__ import annotations

import os
import select
import tty
from contextlib import suppress
from pathlib import Path


class SimPort:
    """The far end of a serial line. ``path`` is what the program opens; it is there while plugged in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends: tuple[int, int] | None = None
        self.plug()

    def plug(self) -> None:
        """Plug the adapter in: a new device behind the same path."""
        if self._ends is None:
            near, far = os.openpty()
            tty.setraw(far)
            self.path.symlink_to(os.ttyname(far))
            self._ends = (
                near,
                far,
            )  # far stays open here: a pseudo-terminal that nobody has open cannot be read

    def unplug(self) -> None:
        """Pull it out: the path is gone, and whoever has it open gets an error."""
        ends, self._ends = self._ends, None
        if ends is not None:
            self.path.unlink(missing_ok=True)
            for end in ends:
                os.close(end)

    def receive(self, timeout_s: float) -> bytes:
        """What the program sent, up to 256 bytes; empty when nothing came in time or nothing is plugged in."""
        ends = self._ends
        with suppress(OSError, ValueError):  # unplugged meanwhile
            if ends is not None and select.select([ends[0]], [], [], timeout_s)[0]:
                return os.read(ends[0], 256)
        return b""

    def send(self, content: bytes) -> None:
        """Let the program receive ``content``; it is lost while nothing is plugged in."""
        ends = self._ends
        with suppress(OSError):
            if ends is not None:
                os.write(ends[0], content)
