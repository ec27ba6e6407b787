"""Slot for the newest frame, between the capture thread and the decode loop.

A decode that takes longer than a frame must see the newest picture next, not a queue of old ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edge.ports import Frame


class LatestFrame:
    """Slot that holds at most one frame. Safe for one writer thread and any number of readers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Return how many frames were replaced before they were read."""
        with self._changed:
            return self._dropped

    def put(self, frame: Frame) -> None:
        """Offer ``frame``; count an unread one as dropped. Does nothing after ``close``."""
        with self._changed:
            if self._closed:
                return
            self._dropped += self._frame is not None
            self._frame = frame
            self._changed.notify_all()

    def put_when_empty(self, frame: Frame, *, cancelled: Callable[[], bool]) -> None:
        """Wait until the slot is empty, then offer ``frame``: for files, which must be read whole.

        Stops waiting when ``cancelled`` returns true, or at ``close``.
        """
        with self._changed:
            while self._frame is not None and not self._closed and not cancelled():
                self._changed.wait(0.05)
            if self._frame is None and not self._closed and not cancelled():
                self._frame = frame
                self._changed.notify_all()

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait up to ``timeout_s`` for the newest unread frame. Return None when none came."""
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
        """End the source: ``next_frame`` returns what is left, and then None at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
