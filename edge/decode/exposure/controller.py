"""Exposure control: expose for a code while one is seen and its light keeps it from being read.

A screen in the dark may be burnt out so far that no code is visible: then the screen itself is
metered.

Pure: each frame comes with its exposure and the time, so that it does not matter how many frames
late a camera follows a setting. Bounded: some steps, then the profile's own exposure and a pause,
which grows while the steps read nothing.

An exposure that read a code is kept until the code is gone: otherwise the code would be lost, found
and scanned a second time. It is not kept for ever: a code on the wall may stay in view, and a code
beside it must be seen too.
"""

from __future__ import annotations

from typing import Final

from edge.decode.exposure.proposals import ExposureLimits, bracket, burnt_place, propose
from edge.ports import Exposure, Frame, Hint, Quad

_LIGHT: Final = {Hint.GLARE, Hint.TOO_DARK}
_FRAMES: Final = 2  # a code seen unread in so many frames is not an artefact of one
_STEP_S: Final = 0.35  # a camera follows within some frames, and the decoder needs some of each
_STEPS: Final = 6  # the bracket twice
_GONE_S: Final = 0.8  # one step may hide a code, two do not
_KEPT_S: Final = 30.0
_FORGET_S: Final = 5.0
_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 60.0


class ExposureController:
    """State of the exposure control: a result for each frame in, the wanted exposure out."""

    def __init__(self, limits: ExposureLimits | None = None) -> None:
        self._limits = limits or ExposureLimits()
        self._base: Exposure | None = None  # the centre of the bracket
        self._place: Quad | None = None  # where the code was last seen
        self._seen_s = float("-inf")
        self._unread_frames = 0  # that showed it
        self._step = 0
        self._next_s = float("-inf")  # when the next step, or the next attempt, is due
        self._pause_s = _PAUSE_S
        self._kept_s = float("inf")  # since when the code in view is read at ``wanted``
        self.wanted: Exposure | None = None

    def update(
        self, frame: Frame, *, read: bool, unread: Quad | None, hint: Hint | None, now_s: float
    ) -> Exposure | None:
        """Record the result of ``frame`` and return the wanted exposure; None: the profile's.

        ``read``: a code was read; ``unread``: where a code was seen and not read; ``hint``: why;
        ``now_s`` is monotonic.
        """
        if unread is None and not read and frame.exposure is not None:
            unread = burnt_place(frame.grey)
            hint = hint if unread is None else Hint.GLARE
        if unread is not None:
            self._place, self._seen_s = unread, now_s
            self._unread_frames += 1
        if read:
            self._keep(frame.exposure, now_s)
        elif now_s - self._seen_s > _GONE_S:
            self._reset(now_s)
        elif (
            frame.exposure is not None and now_s >= self._next_s and self._unread_frames >= _FRAMES
        ):
            self._try_next(frame, frame.exposure, hint, now_s)
        return self.wanted

    def _try_next(self, frame: Frame, now: Exposure, hint: Hint | None, now_s: float) -> None:
        if self._step == _STEPS:
            self._reset(now_s)
            return
        proposed = propose(frame.grey, now, self._limits, self._place)
        if self.wanted is None and proposed is now and hint not in _LIGHT:
            return  # light is not the reason
        turn = self._step % 3
        if self._base is None or turn == 0:
            self._base = proposed
        self.wanted = bracket(self._base, self._limits, turn) if hint in _LIGHT else proposed
        self._step += 1
        self._next_s = now_s + _STEP_S

    def _keep(self, worked: Exposure | None, now_s: float) -> None:
        self._seen_s, self._next_s, self._pause_s = now_s, now_s + _STEP_S, _PAUSE_S
        self._unread_frames = self._step = 0
        self._kept_s = min(self._kept_s, now_s)
        if now_s - self._kept_s > _KEPT_S:
            self._reset(now_s)
        elif (
            self.wanted is not None
            and worked is not None
            and not 0.95 < worked.light / self.wanted.light < 1.05
        ):
            self.wanted = worked  # the camera had been set to a later step already

    def _reset(self, now_s: float) -> None:
        """Return to the profile's exposure; after an attempt, begin no other for a while."""
        if self.wanted is not None:
            self._next_s = now_s + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        elif now_s - self._seen_s > _FORGET_S:
            self._pause_s = _PAUSE_S  # the next code is another person's
        self.wanted = self._base = None
        self._kept_s = float("inf")
        self._unread_frames = self._step = 0
