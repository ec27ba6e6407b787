"""Motion detection, so that an idle device decodes fewer frames and stays cool."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_CHANGED = 12.0  # grey levels of a patch; sensor noise of a patch is well below one
_WIDTH = 64  # patches across


class MotionDetector:
    """Comparison of each frame with those before. Pure: time is an argument.

    It remembers one small picture.
    """

    def __init__(self, *, wake_ms: float = 4000.0) -> None:
        """Stay awake for ``wake_ms`` after a change."""
        self._wake_ms = wake_ms
        self._before: NDArray[np.float32] | None = None
        self._awake_until_ms = 0.0

    def is_still(self, grey: NDArray[np.uint8], now_ms: float) -> bool:
        """Return whether nothing changed for ``wake_ms``. A slow drift of light is no change."""
        height, width = grey.shape
        size = (min(width, _WIDTH), max(1, min(height, height * _WIDTH // width)))
        step = max(1, width // (4 * _WIDTH))
        small = cv2.resize(grey[::step, ::step], size, interpolation=cv2.INTER_AREA).astype(
            np.float32
        )
        if self._before is None or self._before.shape != small.shape:
            self._before = small
            self._awake_until_ms = now_ms + self._wake_ms
        elif float(np.abs(small - self._before).max()) > _CHANGED:
            self._awake_until_ms = now_ms + self._wake_ms
        self._before = np.asarray(0.7 * self._before + 0.3 * small, np.float32)
        return now_ms >= self._awake_until_ms

    def wake(self, now_ms: float) -> None:
        """Stay awake for ``wake_ms``: a code is in view, or a presence sensor is on."""
        self._awake_until_ms = now_ms + self._wake_ms
