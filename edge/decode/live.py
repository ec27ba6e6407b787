"""Decoding for a live camera: a frame without a code is cheap, a hard code takes a few frames.

Every frame gets the first rung. Where a code was read or seen just before, that region is tried
next, enlarged. A code located and not read gets a closer look, whose result is added to those of
the frames before. Otherwise one deeper rung is tried, a different one at each frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode.counters import RungCount, monotonic_ms
from edge.decode.diagnosis import hint_for, hint_for_parts
from edge.decode.ladder import Ladder
from edge.decode.motion import MotionDetector
from edge.decode.qr import zxing
from edge.decode.qr.frame_fusion import FrameFusion
from edge.decode.qr.quad import Quad, box, scaled, side_px
from edge.decode.rungs import LIVE, RUNGS, Rung, closer
from edge.decode.scene import FrameAnalysis, sharpened
from edge.ports import Hint, Symbol

_TRACK_MS = 1200.0  # how long a region is tried again after a code was seen there
_STILL_SHARE = 5  # while nothing moves, one frame in so many is decoded
_HINT_FRAMES = 8  # a code is seen unread for so many frames before there is a hint


class LiveDecoder:
    """Decoder of the frames of one camera. Not for use by two threads at once."""

    def __init__(
        self,
        rungs: Sequence[Rung] = LIVE,
        *,
        budget_ms: float = 60.0,
        clock_ms: Callable[[], float] = monotonic_ms,
    ) -> None:
        """Set the rungs: the first for every frame, the others one a frame in turn.

        No rung starts later than ``budget_ms`` into a frame.
        """
        first, *deeper = rungs
        self._first = first
        self._closer = Rung("closer", closer)
        self._tracked = Rung("tracked", self._read_tracked)
        self._fused = Rung("fused", self._fuse)
        self._deeper = cycle(deeper or [self._closer])
        self._ladder = Ladder([*rungs, self._closer, self._tracked, self._fused], clock_ms=clock_ms)
        self._budget_ms = budget_ms
        self._clock_ms = clock_ms
        self._track: tuple[Quad, float] | None = None  # a region, and until when it is tried
        self._fusion = FrameFusion()
        self._motion = MotionDetector()
        self._frames = 0
        self._unread_frames = 0  # with a code in view and none read
        self._seen_ms = -_TRACK_MS  # when a code was last in view
        self.hint: Hint | None = None  # why the code in view is not read, after some frames
        self.unread: Quad | None = None  # where it is, from the first frame on

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return the codes read in this frame (height, width)."""
        now_ms = self._clock_ms()
        self._frames += 1
        if self._motion.is_still(grey, now_ms) and self._frames % _STILL_SHARE:
            return ()
        scene = FrameAnalysis(grey, has_time=lambda: self._clock_ms() - now_ms < self._budget_ms)
        symbols = self._climb(scene)
        if symbols:
            self._follow(symbols[0].quad, now_ms)
            self._fusion.clear()
            self._unread_frames, self.hint, self.unread = 0, None, None
        else:
            self._follow_unread(scene, now_ms)
        return symbols

    def wake(self) -> None:
        """Decode every frame for a while: a trigger or a presence sensor is on."""
        self._motion.wake(self._clock_ms())

    @property
    def counts(self) -> Mapping[str, RungCount]:
        """Return tries, reads, faults and milliseconds by rung."""
        return self._ladder.counts

    def close(self) -> None:
        """Do nothing: this decoder holds no resources."""

    def _climb(self, scene: FrameAnalysis) -> tuple[Symbol, ...]:
        climb = self._ladder.climb
        symbols = climb(self._first, scene)
        if not symbols and self._track and self._clock_ms() < self._track[1] and scene.has_time():
            symbols = climb(self._tracked, scene)
        if not symbols and not scene.located and scene.has_time():
            symbols = climb(next(self._deeper), scene)
        if not symbols and scene.located and scene.has_time():
            symbols = climb(self._closer, scene)
        if not symbols and scene.studied and scene.has_time():
            symbols = climb(self._fused, scene)
        return symbols

    def _read_tracked(self, scene: FrameAnalysis) -> tuple[Symbol, ...]:
        """Read the tracked region alone with zxing-cpp, at twice the size, sharpened."""
        assert self._track is not None
        margin = 0.25 * side_px(self._track[0])
        left, top, right, bottom = (int(edge) for edge in box(self._track[0]))
        left, top = max(0, int(left - margin)), max(0, int(top - margin))
        crop = scene.grey[top : int(bottom + margin), left : int(right + margin)]
        if crop.size == 0:
            return ()
        large = cv2.resize(crop, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        found = zxing.detect(sharpened(np.asarray(large, np.uint8), 2.5, 2.0))
        scene.add_located(
            replace(place, quad=scaled(place.quad, 0.5, left, top)) for place in found.unread
        )
        return tuple(
            replace(symbol, quad=scaled(symbol.quad, 0.5, left, top)) for symbol in found.read
        )

    def _fuse(self, scene: FrameAnalysis) -> tuple[Symbol, ...]:
        """Add this frame's soft modules to those of earlier frames; return a code they complete."""
        for place, modules in scene.studied:
            if (symbol := self._fusion.add(place, modules, self._clock_ms())) is not None:
                return (symbol,)
        return ()

    def _follow(self, quad: Quad, now_ms: float) -> None:
        self._track = quad, now_ms + _TRACK_MS
        self._motion.wake(now_ms)

    def _follow_unread(self, scene: FrameAnalysis, now_ms: float) -> None:
        """Follow a code that is seen and not read; after some frames, set the hint why."""
        self.unread = None
        if scene.studied:
            self._follow(scene.studied[0][0].quad, now_ms)
        if scene.located:
            self._unread_frames += 1
            self._seen_ms = now_ms
            place = scene.studied[0][0] if scene.studied else scene.located[0]
            self.unread = place.quad
            if self._unread_frames >= _HINT_FRAMES:
                self.hint = hint_for(scene.grey, place)
        elif now_ms - self._seen_ms > _TRACK_MS:
            self._unread_frames = 0
            if self._frames % _HINT_FRAMES == 0:
                self.hint = hint_for_parts(scene.half, scene.finders("half", 0.1))


class DeepDecoder:
    """Ladder for a second core: the rungs beyond those that the first core tries on every frame."""

    hint: Hint | None = None
    unread: Quad | None = None

    def __init__(self, *, budget_ms: float, clock_ms: Callable[[], float] = monotonic_ms) -> None:
        """Start no rung later than ``budget_ms`` into a frame."""
        self._ladder = Ladder(RUNGS[2:], budget_ms=budget_ms, clock_ms=clock_ms)
        self._motion = MotionDetector()
        self._clock_ms = clock_ms

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return the codes read in this frame (height, width); none where nothing moves."""
        return () if self._motion.is_still(grey, self._clock_ms()) else self._ladder.decode(grey)

    def wake(self) -> None:
        """Decode every frame for a while."""
        self._motion.wake(self._clock_ms())

    @property
    def counts(self) -> Mapping[str, RungCount]:
        """Return tries, reads, faults and milliseconds by rung."""
        return self._ladder.counts
