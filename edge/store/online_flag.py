"""Whether a platform answers just now, as one process tells the other: a lock on a file, freed by the kernel.

edge-sync holds the lock while the hub answers it. A process that was killed holds no lock, so nobody
ever waits for an answer that cannot come, and nothing is written to the card.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

FILE = "sync.online"


class OnlineFlag:
    """Held by edge-sync alone, one a folder."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.held = False

    def tell(self, online: bool) -> None:
        """Take or free the lock. A reader that looks in this instant delays it to the next call."""
        if online is self.held:
            return
        try:
            fcntl.flock(
                self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if online else fcntl.LOCK_UN
            )
        except BlockingIOError:
            return
        self.held = online

    def close(self) -> None:
        """Free the lock."""
        os.close(self._descriptor)

    def __enter__(self) -> OnlineFlag:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def is_online(folder: Path) -> bool:
    """Whether edge-sync is there and the hub answers it. At once, whatever the network does."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
