"""Frames only while a trigger is held and for a while after it; and who is there wakes an idle decoder."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from edge.ports import Frame, FrameSource

_LOOK_EVERY_S: Final = 0.01
_WAKE_EVERY_S: Final = 1.0


class TriggeredFrames:
    """Hands out frames that were captured while awake; asleep, it only waits for the trigger."""

    def __init__(
        self,
        frames: FrameSource,
        is_pressed: Callable[[], bool],
        *,
        scan_s: float,
        at_sleep: Callable[[], object] = lambda: None,
    ) -> None:
        """``scan_s``: how long it stays awake after the trigger was let go. ``at_sleep`` is called once each time."""
        self._frames = frames
        self._is_pressed = is_pressed
        self._scan_s = scan_s
        self._at_sleep = at_sleep
        self._was_awake = False
        self._asleep_from_s = float("-inf")
        self._woken_ns = 0

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Take the newest frame, waiting up to ``timeout_s``. None: none came, or nobody wants one."""
        until_s = time.monotonic() + timeout_s
        while not self._awake():
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return None
            time.sleep(min(_LOOK_EVERY_S, left_s))
        frame = self._frames.next_frame(max(0.0, until_s - time.monotonic()))
        return frame if frame is not None and frame.captured_ns >= self._woken_ns else None

    def _awake(self) -> bool:
        now_s = time.monotonic()
        if self._is_pressed():
            if not self._was_awake:
                self._woken_ns = time.monotonic_ns()
            self._asleep_from_s = now_s + self._scan_s
        awake = now_s < self._asleep_from_s
        if self._was_awake and not awake:
            self._at_sleep()
        self._was_awake = awake
        return awake


class Waker:
    """A trigger or a presence sensor that wakes: at once when it goes on, and again while it stays on."""

    def __init__(self, is_on: Callable[[], bool], wake: Callable[[], object]) -> None:
        self._is_on = is_on
        self._wake = wake
        self._woken_s = float("-inf")

    def is_on(self) -> bool:
        """Whether it is on now. To be asked often."""
        on = self._is_on()
        if not on:
            self._woken_s = float("-inf")
        elif time.monotonic() - self._woken_s >= _WAKE_EVERY_S:
            self._woken_s = time.monotonic()
            self._wake()
        return on


class PresenceFrames:
    """Hands on every frame; before each it looks whether somebody is there."""

    def __init__(self, frames: FrameSource, waker: Waker) -> None:
        self._frames = frames
        self._waker = waker

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Take the newest frame, waiting up to ``timeout_s``."""
        frame = self._frames.next_frame(timeout_s)
        self._waker.is_on()
        return frame
