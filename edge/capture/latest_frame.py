"""The latest-frame slot between the capture thread and the decode loop.

A decode that takes longer than a frame must see the newest picture next, not a queue of old ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edge.ports import Frame


class LatestFrame:
    """Holds at most one frame. Safe for one writer thread and one reader thread (or more)."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many frames were replaced before anybody took them."""
        with self._changed:
            return self._dropped

    def put(self, frame: Frame) -> None:
        """Offer ``frame``. A frame nobody took yet is dropped and counted. After ``close`` it is ignored."""
        with self._changed:
            if self._closed:
                return
            self._dropped += self._frame is not None
            self._frame = frame
            self._changed.notify_all()

    def put_when_taken(self, frame: Frame, *, given_up: Callable[[], bool]) -> None:
        """Offer ``frame`` once the previous one is taken: for files, where no picture may be missed."""
        with self._changed:
            while self._frame is not None and not self._closed and not given_up():
                self._changed.wait(0.05)
            if self._frame is None and not self._closed and not given_up():
                self._frame = frame
                self._changed.notify_all()

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Take the newest frame, waiting up to ``timeout_s`` for it. None when there is none."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._frame is None and not self._closed:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return None
                self._changed.wait(left_s)
            frame, self._frame = self._frame, None
            self._changed.notify_all()
            return frame

    def close(self) -> None:
        """No frame comes any more: ``take`` hands out what is left and then returns None at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
