"""When the camera exposes for a code and not for the room: while one is seen and its light keeps it from being read.

A screen in the dark may be burnt out until nothing of a code is left to be seen: then the screen itself is metered.
Pure: each frame comes with how it was exposed and with the time, so it matters not how many frames late a camera
follows. Bounded: some steps, then the profile's own exposure and a pause, which grows while trying brings nothing.
What a code was read with is kept until it is gone: else it would be lost, found and scanned a second time. But not
for ever: a code on the wall may stay, and who comes beside it is to be seen as well.
"""

from __future__ import annotations

from typing import Final

from edge.decode.exposure.proposals import ExposureLimits, bracket, burnt_place, propose
from edge.ports import Exposure, Frame, Hint, Quad

_LIGHT: Final = {Hint.GLARE, Hint.TOO_DARK}
_FRAMES: Final = 2  # seen unread in so many, a code is no smudge of one frame
_STEP_S: Final = (
    0.35  # a camera follows within some frames, and the decoder wants some of each exposure
)
_STEPS: Final = 6  # the bracket twice
_GONE_S: Final = 0.8  # one step may hide a code, two do not
_KEPT_S: Final = 30.0
_FORGET_S: Final = 5.0
_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 60.0


class ExposureController:
    """Takes every frame and what came of it; says how the next ones shall be exposed."""

    def __init__(self, limits: ExposureLimits | None = None) -> None:
        self._limits = limits or ExposureLimits()
        self._base: Exposure | None = None  # what the bracket is laid round
        self._place: Quad | None = None  # of the code, where it was seen last
        self._seen_s = float("-inf")
        self._unread = 0  # frames that showed it
        self._step = 0
        self._next_s = float("-inf")  # when the next step, or the next attempt, is due
        self._pause_s = _PAUSE_S
        self._kept_s = float("inf")  # since when the code in view has been read with what is wanted
        self.wanted: Exposure | None = None

    def after(
        self, frame: Frame, *, read: bool, unread: Quad | None, hint: Hint | None, now_s: float
    ) -> Exposure | None:
        """Return how to expose, None as the profile says. ``unread``: where a code was seen that was not read."""
        if unread is None and not read and frame.exposure is not None:
            unread = burnt_place(frame.grey)
            hint = hint if unread is None else Hint.GLARE
        if unread is not None:
            self._place, self._seen_s, self._unread = unread, now_s, self._unread + 1
        if read:
            self._keep(frame.exposure, now_s)
        elif now_s - self._seen_s > _GONE_S:
            self._rest(now_s)
        elif frame.exposure is not None and now_s >= self._next_s and self._unread >= _FRAMES:
            self._go_on(frame, frame.exposure, hint, now_s)
        return self.wanted

    def _go_on(self, frame: Frame, now: Exposure, hint: Hint | None, now_s: float) -> None:
        if self._step == _STEPS:
            self._rest(now_s)
            return
        proposed = propose(frame.grey, now, self._limits, self._place)
        if self.wanted is None and proposed is now and hint not in _LIGHT:
            return  # it is not the light
        turn = self._step % 3
        if self._base is None or turn == 0:
            self._base = proposed
        self.wanted = bracket(self._base, self._limits, turn) if hint in _LIGHT else proposed
        self._step += 1
        self._next_s = now_s + _STEP_S

    def _keep(self, worked: Exposure | None, now_s: float) -> None:
        self._seen_s, self._next_s, self._pause_s = now_s, now_s + _STEP_S, _PAUSE_S
        self._unread = self._step = 0
        self._kept_s = min(self._kept_s, now_s)
        if now_s - self._kept_s > _KEPT_S:
            self._rest(now_s)
        elif (
            self.wanted is not None
            and worked is not None
            and not 0.95 < worked.light / self.wanted.light < 1.05
        ):
            self.wanted = worked  # a later step was asked for already

    def _rest(self, now_s: float) -> None:
        """Leave it to the profile, after an attempt for a while."""
        if self.wanted is not None:
            self._next_s = now_s + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        elif now_s - self._seen_s > _FORGET_S:
            self._pause_s = _PAUSE_S  # whoever comes now is somebody else
        self.wanted = self._base = None
        self._kept_s = float("inf")
        self._unread = self._step = 0
