"""Frames for a device with a trigger button or a presence sensor.

A trigger lets frames pass only while it is held and for a while after. A presence sensor lets all
frames pass. Both wake an idle decoder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from edge.ports import Frame, FrameSource

_POLL_EVERY_S: Final = 0.01
_WAKE_EVERY_S: Final = 1.0


class TriggeredFrames:
    """``FrameSource`` of frames captured while it is awake; asleep, it polls the trigger."""

    def __init__(
        self,
        frames: FrameSource,
        is_pressed: Callable[[], bool],
        *,
        scan_s: float,
        on_sleep: Callable[[], object] = lambda: None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Stay awake for ``scan_s`` after the trigger was released; then call ``on_sleep`` once.

        ``monotonic_ns`` is the clock of ``Frame.captured_ns``; ``sleep`` takes seconds.
        """
        self._frames = frames
        self._is_pressed = is_pressed
        self._scan_ns = scan_s * 1e9
        self._on_sleep = on_sleep
        self._monotonic_ns = monotonic_ns
        self._sleep = sleep
        self._was_awake = False
        self._asleep_from_ns = float("-inf")
        self._woken_ns = 0

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait up to ``timeout_s`` for the newest frame. None: none came, or the trigger is off."""
        until_ns = self._monotonic_ns() + timeout_s * 1e9
        while not self._poll_awake():
            left_s = (until_ns - self._monotonic_ns()) / 1e9
            if left_s <= 0:
                return None
            self._sleep(min(_POLL_EVERY_S, left_s))
        frame = self._frames.next_frame(max(0.0, (until_ns - self._monotonic_ns()) / 1e9))
        return frame if frame is not None and frame.captured_ns >= self._woken_ns else None

    def _poll_awake(self) -> bool:
        now_ns = self._monotonic_ns()
        if self._is_pressed():
            if not self._was_awake:
                self._woken_ns = now_ns
            self._asleep_from_ns = now_ns + self._scan_ns
        awake = now_ns < self._asleep_from_ns
        if self._was_awake and not awake:
            self._on_sleep()
        self._was_awake = awake
        return awake


class Waker:
    """Switch that wakes a decoder: when it goes on, and again while it is on."""

    def __init__(
        self,
        is_on: Callable[[], bool],
        wake: Callable[[], object],
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_on = is_on
        self._wake = wake
        self._monotonic_s = monotonic_s
        self._woken_s = float("-inf")

    def poll(self) -> bool:
        """Return whether it is on now, and wake the decoder if so. Call it at each frame."""
        on = self._is_on()
        if not on:
            self._woken_s = float("-inf")
        elif self._monotonic_s() - self._woken_s >= _WAKE_EVERY_S:
            self._woken_s = self._monotonic_s()
            self._wake()
        return on


class PresenceFrames:
    """``FrameSource`` that returns every frame and polls a presence sensor at each."""

    def __init__(self, frames: FrameSource, waker: Waker) -> None:
        self._frames = frames
        self._waker = waker

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait up to ``timeout_s`` for the newest frame. None: none came."""
        frame = self._frames.next_frame(timeout_s)
        self._waker.poll()
        return frame
