"""Analysis of one frame: the picture, its reductions, and what the rungs have found so far."""

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
    """One grey picture, the reductions that rungs share, and the codes located and not read.

    A reduction is computed when it is first used.
    """

    def __init__(self, grey: Grey, *, has_time: Callable[[], bool] = lambda: True) -> None:
        """Analyse ``grey`` (height, width).

        Long rungs call ``has_time`` between their steps, and end once it returns false.
        """
        self.grey = grey
        self.has_time = has_time
        self.located: list[LocatedSymbol] = []  # codes seen and not read, in order of detection
        # Codes that recovery did not read, with their soft modules.
        self.studied: list[tuple[LocatedSymbol, NDArray[np.float32]]] = []
        self._waiting: list[LocatedSymbol] = []
        self.binary = lru_cache(maxsize=4)(self._binary)
        self.finders = lru_cache(maxsize=2)(self._finders)

    @cached_property
    def half(self) -> Grey:
        """Return the picture at half its size, each pixel the mean of four."""
        height, width = self.grey.shape
        size = (max(1, width // 2), max(1, height // 2))
        return np.asarray(cv2.resize(self.grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    @cached_property
    def smooth(self) -> Grey:
        """Return the picture with each pixel the mean of nine: sensor noise makes no contours."""
        return np.asarray(cv2.blur(self.grey, (3, 3)), dtype=np.uint8)

    @cached_property
    def sharp(self) -> Grey:
        """Return the picture with its finest detail raised: small modules are separate again."""
        return sharpened(self.grey, 1.0, 2.0)

    def busiest(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return left and top of the window of that size with the most fine detail."""
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
        """Return the picture in black and white; ``of``: half, smooth or sharp.

        See ``local_threshold``.
        """
        grey: Grey = getattr(self, of)
        return local_threshold(grey, window)

    def _finders(self, of: str, window: float) -> list[FinderPattern]:
        """Return the finder patterns of that black and white picture, in its pixels."""
        return finders(self.binary(of, window))

    def add_located(self, places: Iterable[LocatedSymbol]) -> None:
        """Record where codes were seen and not read; skip implausible and known places."""
        for place in places:
            if is_plausible(place.quad) and not any(
                _is_same(place, known) for known in self.located
            ):
                self.located.append(place)
                self._waiting.append(place)

    def add_studied(self, place: LocatedSymbol, modules: NDArray[np.float32] | None) -> None:
        """Record the soft modules of a code that recovery did not read, if it has any."""
        if modules is not None:
            self.studied.append((place, modules))

    def pop_studied(self) -> list[tuple[LocatedSymbol, NDArray[np.float32]]]:
        """Remove and return the codes of ``studied``."""
        studied, self.studied = self.studied, []
        return studied

    def next_waiting(self) -> LocatedSymbol | None:
        """Return the next located code to recover; None when there is none, or no time for it."""
        return self._waiting.pop(0) if self._waiting and self.has_time() else None


def local_threshold(grey: Grey, window: float) -> Grey:
    """Return ``grey`` in black and white, against the mean of a window round each pixel.

    The window's side is ``window`` times the picture's shorter side. The result is that of
    ``cv2.adaptiveThreshold``, in six tenths of its time.
    """
    side = max(3, int(min(grey.shape) * window) | 1)
    mean = cv2.blur(grey, (side, side), borderType=cv2.BORDER_REPLICATE)
    darker = cv2.subtract(mean, grey)  # by how much, 0 where it is lighter
    return np.asarray(
        cv2.threshold(darker, _BIAS - 1, 255, cv2.THRESH_BINARY_INV)[1], dtype=np.uint8
    )


def sharpened(grey: Grey, sigma_px: float, amount: float) -> Grey:
    """Return ``grey`` with detail finer than ``sigma_px`` raised by ``amount`` (unsharp mask)."""
    blurred = cv2.GaussianBlur(grey, (0, 0), sigma_px)
    return np.asarray(cv2.addWeighted(grey, 1 + amount, blurred, -amount, 0), dtype=np.uint8)


def _is_same(one: LocatedSymbol, two: LocatedSymbol) -> bool:
    near_px = side_px(one.quad) / (17 + 4 * one.version)  # a module: a grid fits both alike
    return one.version == two.version and bool(
        np.abs(np.subtract(one.quad, two.quad)).max() < near_px
    )
