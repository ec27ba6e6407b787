"""The module grid of a code laid over the picture, and bent until the modules' edges fall on it.

A homography from the four corners holds for a flat code. Labels are wrapped round cans, receipts are crumpled,
corners are guessed. What remains is found the way a modem recovers its clock: the energy of the edges, seen
through the grid's own period, has a phase, and the phase is the grid's local displacement (Oerder and Meyr's
timing estimate, in two dimensions). Averaged over wide windows first and narrower ones later, so that a window
never has to tell a displacement from the same displacement less one module.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode.quad import Quad, array

MARGIN = 2  # modules of quiet zone laid over too
_STEP = 5  # picture samples a module while settling

Field = NDArray[np.float32]


class Mesh:
    """Maps module coordinates (0 to ``size``, from the code's top left) to pixels of ``grey``."""

    def __init__(self, grey: NDArray[np.uint8], quad: Quad, size: int) -> None:
        """``quad``: the code's corners from its top left, clockwise as the code reads; ``size`` in modules."""
        self._grey = grey
        self._size = size
        square = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
        self._matrix = cv2.getPerspectiveTransform(square, array(quad)).astype(np.float32)
        cells = size + 2 * MARGIN
        self._across = np.zeros((cells, cells), np.float32)  # displacement in modules at each module's centre
        self._down = np.zeros((cells, cells), np.float32)

    def sample(self, step: int) -> NDArray[np.uint8]:
        """Return the picture seen through the grid, ``step`` samples a module: (cells * step, cells * step)."""
        count = (self._size + 2 * MARGIN) * step
        along = (np.arange(count, dtype=np.float32) + 0.5) / step - MARGIN
        across = cv2.resize(self._across, (count, count), interpolation=cv2.INTER_LINEAR) + along
        down = cv2.resize(self._down, (count, count), interpolation=cv2.INTER_LINEAR) + along[:, None]
        m = self._matrix
        depth = m[2, 0] * across + m[2, 1] * down + m[2, 2]
        x = (m[0, 0] * across + m[0, 1] * down + m[0, 2]) / depth - 0.5
        y = (m[1, 0] * across + m[1, 1] * down + m[1, 2]) / depth - 0.5
        seen = cv2.remap(self._grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(seen, dtype=np.uint8)

    def settle(self, width: float, times: int) -> None:
        """Move the grid onto the edges ``times`` times, with windows of ``width`` modules (one standard deviation)."""
        for _ in range(times):
            phasors = self._phasors(width)
            self._across += np.arctan2(phasors[..., 1], phasors[..., 0]) / np.float32(2 * np.pi)
            self._down += np.arctan2(phasors[..., 3], phasors[..., 2]) / np.float32(2 * np.pi)

    def _phasors(self, width: float) -> Field:
        """Edge energy times the grid's carrier, across and down, averaged: (cells, cells, 4)."""
        seen = cv2.GaussianBlur(self.sample(_STEP).astype(np.float32), (0, 0), _STEP * 0.25)
        across = cv2.Sobel(seen, cv2.CV_32F, 1, 0, ksize=1) ** 2
        down = cv2.Sobel(seen, cv2.CV_32F, 0, 1, ksize=1) ** 2
        cells = self._size + 2 * MARGIN
        busy = cv2.resize(across + down, (cells, cells), interpolation=cv2.INTER_AREA)
        evened = 1 / (cv2.GaussianBlur(busy, (0, 0), 3) + 25)  # each neighbourhood counts alike; 25: sensor noise
        evened[:MARGIN] = evened[-MARGIN:] = 0
        evened[:, :MARGIN] = evened[:, -MARGIN:] = 0
        phase = 2 * np.pi * (np.arange(cells * _STEP, dtype=np.float32) + 0.5) / _STEP
        cos, sin = np.cos(phase), np.sin(phase)
        carried = np.dstack([across * cos, across * sin, down * cos[:, None], down * sin[:, None]])
        folded = cv2.resize(carried, (cells, cells), interpolation=cv2.INTER_AREA) * evened[..., None]
        return np.asarray(cv2.GaussianBlur(folded, (0, 0), width, borderType=cv2.BORDER_CONSTANT), np.float32)
