"""Decoding for a live camera: a frame without a code stays cheap, a hard code is read within a few frames.

Every frame gets the first rung. Where a code was read or seen just before, that place is tried next, enlarged.
A code located and not read gets a closer look, added to those of the frames before; otherwise one deeper rung
has its turn.
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

_TRACK_MS = 1200.0  # how long a place stays worth a look of its own
_STILL_SHARE = 5  # while nothing moves, one frame in so many is looked at
_HINT_FRAMES = 8  # a code is seen for so many frames before the person is told why it is not read


class LiveDecoder:
    """Reads the frames of one camera, newest first. Not for use by two threads at once."""

    def __init__(
        self,
        rungs: Sequence[Rung] = LIVE,
        *,
        budget_ms: float = 60.0,
        clock_ms: Callable[[], float] = monotonic_ms,
    ) -> None:
        """``rungs``: the first, then those that take turns. ``budget_ms``: nothing starts later into a frame."""
        first, *deeper = rungs
        self._first = first
        self._closer = Rung("closer", closer)
        self._tracked = Rung("tracked", self._look_again)
        self._fused = Rung("fused", self._fuse)
        self._deeper = cycle(deeper or [self._closer])
        self._ladder = Ladder([*rungs, self._closer, self._tracked, self._fused], clock_ms=clock_ms)
        self._budget_ms = budget_ms
        self._clock_ms = clock_ms
        self._track: tuple[Quad, float] | None = None  # a place, and until when it counts
        self._fusion = FrameFusion()
        self._stillness = MotionDetector()
        self._frames = 0
        self._unread = 0  # frames with a code in view and none read
        self._seen_ms = -_TRACK_MS  # when a code was last in view
        self.hint: Hint | None = (
            None  # why the code in view is not read, once it has been for a while
        )
        self.unread: Quad | None = None  # where it is, from the first frame on

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return the codes read in this frame (height, width)."""
        now_ms = self._clock_ms()
        self._frames += 1
        if self._stillness.is_still(grey, now_ms) and self._frames % _STILL_SHARE:
            return ()
        scene = FrameAnalysis(grey, has_time=lambda: self._clock_ms() - now_ms < self._budget_ms)
        symbols = self._climb(scene)
        if symbols:
            self._remember(symbols[0].quad, now_ms)
            self._fusion.clear()
            self._unread, self.hint, self.unread = 0, None, None
        else:
            self._explain(scene, now_ms)
        return symbols

    def wake(self) -> None:
        """Somebody is there, says a presence sensor: look at every frame for a while."""
        self._stillness.wake(self._clock_ms())

    @property
    def counts(self) -> Mapping[str, RungCount]:
        """Tries, reads, faults and milliseconds by rung."""
        return self._ladder.counts

    def close(self) -> None:
        """Release what decoding holds. Safe to call twice."""

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

    def _look_again(self, scene: FrameAnalysis) -> tuple[Symbol, ...]:
        """zxing-cpp on the place of the track alone, at twice the size, sharpened."""
        assert self._track is not None
        margin = 0.25 * side_px(self._track[0])
        left, top, right, bottom = (int(edge) for edge in box(self._track[0]))
        left, top = max(0, int(left - margin)), max(0, int(top - margin))
        crop = scene.grey[top : int(bottom + margin), left : int(right + margin)]
        if crop.size == 0:
            return ()
        large = cv2.resize(crop, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        sighting = zxing.look(sharpened(np.asarray(large, np.uint8), 2.5, 2.0))
        scene.note(
            replace(place, quad=scaled(place.quad, 0.5, left, top)) for place in sighting.unread
        )
        return tuple(
            replace(symbol, quad=scaled(symbol.quad, 0.5, left, top)) for symbol in sighting.read
        )

    def _fuse(self, scene: FrameAnalysis) -> tuple[Symbol, ...]:
        """What this frame shows of a code, added to what the frames before have shown."""
        for place, modules in scene.studied:
            if (symbol := self._fusion.add(place, modules, self._clock_ms())) is not None:
                return (symbol,)
        return ()

    def _remember(self, quad: Quad, now_ms: float) -> None:
        self._track = quad, now_ms + _TRACK_MS
        self._stillness.wake(now_ms)

    def _explain(self, scene: FrameAnalysis, now_ms: float) -> None:
        """Follow a code that is seen and not read, and say why it is not, once it has been seen for a while."""
        self.unread = None
        if scene.studied:
            self._remember(scene.studied[0][0].quad, now_ms)
        if scene.located:
            self._unread += 1
            self._seen_ms = now_ms
            place = scene.studied[0][0] if scene.studied else scene.located[0]
            self.unread = place.quad
            if self._unread >= _HINT_FRAMES:
                self.hint = hint_for(scene.grey, place)
        elif now_ms - self._seen_ms > _TRACK_MS:
            self._unread = 0
            if self._frames % _HINT_FRAMES == 0:
                self.hint = hint_for_parts(scene.half, scene.finders("half", 0.1))


class DeepDecoder:
    """The ladder for a second core: every rung beyond those that the first core tries on every frame."""

    hint: Hint | None = None
    unread: Quad | None = None

    def __init__(self, *, budget_ms: float, clock_ms: Callable[[], float] = monotonic_ms) -> None:
        """``budget_ms``: no rung starts later into a frame."""
        self._ladder = Ladder(RUNGS[2:], budget_ms=budget_ms, clock_ms=clock_ms)
        self._stillness = MotionDetector()
        self._clock_ms = clock_ms

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return the codes read in this frame (height, width); none where nothing moves."""
        return () if self._stillness.is_still(grey, self._clock_ms()) else self._ladder.decode(grey)

    def wake(self) -> None:
        """Look at every frame for a while."""
        self._stillness.wake(self._clock_ms())

    @property
    def counts(self) -> Mapping[str, RungCount]:
        """Tries, reads, faults and milliseconds by rung."""
        return self._ladder.counts
