"""Serial port on a pseudo-terminal that can be unplugged, like those of /dev/serial/by-id."""

from __future__ import annotations

import os
import select
import tty
from contextlib import suppress
from pathlib import Path


class SimPort:
    """The far end of a serial line. The program opens ``path``, which exists while plugged in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends: tuple[int, int] | None = None
        self.plug()

    def plug(self) -> None:
        """Plug the adapter in: a new device at the same path."""
        if self._ends is None:
            near, far = os.openpty()
            tty.setraw(far)
            self.path.symlink_to(os.ttyname(far))
            # The far end stays open here: a pseudo-terminal without an open end cannot be read.
            self._ends = (near, far)

    def unplug(self) -> None:
        """Pull the adapter out: the path is removed, and reads and writes of it fail."""
        ends, self._ends = self._ends, None
        if ends is not None:
            self.path.unlink(missing_ok=True)
            for end in ends:
                os.close(end)

    def receive(self, timeout_s: float) -> bytes:
        """Return up to 256 bytes from the program; empty after the timeout or while unplugged."""
        ends = self._ends
        with suppress(OSError, ValueError):  # unplugged meanwhile
            if ends is not None and select.select([ends[0]], [], [], timeout_s)[0]:
                return os.read(ends[0], 256)
        return b""

    def send(self, content: bytes) -> None:
        """Send ``content`` to the program; it is lost while unplugged."""
        ends = self._ends
        with suppress(OSError):
            if ends is not None:
                os.write(ends[0], content)
