"""Whether an authority replies just now: one process reports it to another by a lock on a file.

edge-sync holds the lock while the hub replies to it. A process that was killed holds no lock, so
the scanner never waits for a reply that cannot come, and nothing is written to the card.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final

FILE: Final = "sync.online"


class OnlineFlag:
    """The lock of one data folder. Only edge-sync has one."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.held = False

    def set(self, online: bool) -> None:
        """Take or free the lock. A reader at this very moment delays it to the next call."""
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
    """Return whether edge-sync runs and the hub replies to it. Takes no time, online or not."""
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
