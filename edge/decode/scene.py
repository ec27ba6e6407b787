"""A frame as the ladder sees it: the picture, what can be shared between rungs, and what they have learnt so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode.qr.finder_patterns import FinderPattern, finders
from edge.decode.qr.quad import is_plausible, side_px
from edge.decode.qr.zxing import LocatedSymbol

Grey = NDArray[np.uint8]

_BIAS = 5  # grey levels below the mean that still count as white, so that an even wall is white


class FrameAnalysis:
    """One grey picture, its shared reductions (made once, when first asked for) and the places worth a closer look."""

    def __init__(self, grey: Grey, *, has_time: Callable[[], bool] = lambda: True) -> None:
        """``has_time``: asked by long rungs between their steps; once false, they end with what they have."""
        self.grey = grey  # (height, width)
        self.has_time = has_time
        self.located: list[
            LocatedSymbol
        ] = []  # codes seen and not read, in the order they were noted
        self.studied: list[
            tuple[LocatedSymbol, NDArray[np.float32]]
        ] = []  # soft modules of codes looked at in vain
        self._waiting: list[LocatedSymbol] = []
        self.binary = lru_cache(maxsize=4)(self._binary)
        self.finders = lru_cache(maxsize=2)(self._finders)

    @cached_property
    def half(self) -> Grey:
        """The picture at half its size, each pixel the mean of four."""
        height, width = self.grey.shape
        size = (max(1, width // 2), max(1, height // 2))
        return np.asarray(cv2.resize(self.grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    @cached_property
    def smooth(self) -> Grey:
        """The picture with each pixel the mean of nine, so that sensor noise makes no contours."""
        return np.asarray(cv2.blur(self.grey, (3, 3)), dtype=np.uint8)

    @cached_property
    def sharp(self) -> Grey:
        """The picture with its finest detail raised: small modules stand apart again."""
        return sharpened(self.grey, 1.0, 2.0)

    def busiest(self, width_px: int, height_px: int) -> tuple[int, int]:
        """The left and top of the window of that size which has the most fine detail."""
        detail = cv2.absdiff(self.grey, self.smooth)
        height, width = detail.shape
        small = cv2.resize(
            detail, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA
        )
        window = (max(1, min(width, width_px) // 8), max(1, min(height, height_px) // 8))
        total = cv2.boxFilter(
            small, cv2.CV_32F, window, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT
        )
        y, x = np.unravel_index(int(np.argmax(total)), total.shape)
        return min(int(x) * 8, max(0, width - width_px)), min(
            int(y) * 8, max(0, height - height_px)
        )

    def _binary(self, of: str, window: float) -> Grey:
        """Black and white against the mean of a window; ``of``: half, smooth or sharp (see ``local_threshold``)."""
        grey: Grey = getattr(self, of)
        return local_threshold(grey, window)

    def _finders(self, of: str, window: float) -> list[FinderPattern]:
        """The finder patterns of that black and white picture, in its pixels."""
        return finders(self.binary(of, window))

    def note(self, places: Iterable[LocatedSymbol]) -> None:
        """Remember where a code was seen and not read. What is all but noted already is not noted again."""
        for place in places:
            if is_plausible(place.quad) and not any(
                _is_same(place, known) for known in self.located
            ):
                self.located.append(place)
                self._waiting.append(place)

    def keep(self, place: LocatedSymbol, modules: NDArray[np.float32] | None) -> None:
        """Remember the soft modules of a code that could not be read, where there are any."""
        if modules is not None:
            self.studied.append((place, modules))

    def take_studied(self) -> list[tuple[LocatedSymbol, NDArray[np.float32]]]:
        """Return what was kept since the last call."""
        taken, self.studied = self.studied, []
        return taken

    def next_waiting(self) -> LocatedSymbol | None:
        """Return a noted place that nobody has asked for yet; None when there is none or no time for it."""
        return self._waiting.pop(0) if self._waiting and self.has_time() else None


def local_threshold(grey: Grey, window: float) -> Grey:
    """Return ``grey`` as black and white against the mean of a window ``window`` times the shorter side.

    The same as ``cv2.adaptiveThreshold``, in six tenths of its time.
    """
    side = max(3, int(min(grey.shape) * window) | 1)
    mean = cv2.blur(grey, (side, side), borderType=cv2.BORDER_REPLICATE)
    darker = cv2.subtract(mean, grey)  # by how much, 0 where it is lighter
    return np.asarray(
        cv2.threshold(darker, _BIAS - 1, 255, cv2.THRESH_BINARY_INV)[1], dtype=np.uint8
    )


def sharpened(grey: Grey, sigma_px: float, amount: float) -> Grey:
    """Return ``grey`` with detail finer than ``sigma_px`` raised by ``amount`` times itself (unsharp mask)."""
    blurred = cv2.GaussianBlur(grey, (0, 0), sigma_px)
    return np.asarray(cv2.addWeighted(grey, 1 + amount, blurred, -amount, 0), dtype=np.uint8)


def _is_same(one: LocatedSymbol, two: LocatedSymbol) -> bool:
    near_px = side_px(one.quad) / (17 + 4 * one.version)  # a module: a mesh settles alike on both
    return one.version == two.version and bool(
        np.abs(np.subtract(one.quad, two.quad)).max() < near_px
    )
