"""Sampling grid: the module grid of a code, laid over the picture and bent to the modules' edges.

A homography from the four corners fits a flat code. But labels are wrapped round cans, receipts are
crumpled, and corners are estimates. The rest is found as a modem recovers its clock: the energy of
the edges, seen through the grid's own period, has a phase, and the phase is the grid's local
displacement (Oerder and Meyr's timing estimate, in two dimensions).

A phase is ambiguous by whole modules. So either the window is wide and the error small everywhere
(``refine``), or the grid is extended outwards from the finder patterns and stays in step
(``extend``).
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode.qr.quad import Quad, array

MARGIN = 2  # modules of quiet zone that the grid covers
_STEP = 4  # picture samples a module while the grid is bent

Field = NDArray[np.float32]


class SamplingGrid:
    """Map from module coordinates (0 to ``size``, from the code's top left) to pixels."""

    def __init__(self, grey: NDArray[np.uint8], quad: Quad, size: int) -> None:
        """Lay a flat grid of ``size`` modules over ``quad``.

        ``quad``: the corners from the code's top left, clockwise as the code reads.
        """
        self._grey = grey
        self._size = size
        square = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
        self._matrix = cv2.getPerspectiveTransform(square, array(quad)).astype(np.float32)
        cells = size + 2 * MARGIN
        # Displacement in modules at each module's centre.
        self._across = np.zeros((cells, cells), np.float32)
        self._down = np.zeros((cells, cells), np.float32)

    def sample(self, step: int) -> NDArray[np.uint8]:
        """Return the picture through the grid, ``step`` samples a module.

        Shape (cells * step, cells * step).
        """
        count = (self._size + 2 * MARGIN) * step
        along = (np.arange(count, dtype=np.float32) + 0.5) / step - MARGIN
        across = cv2.resize(self._across, (count, count), interpolation=cv2.INTER_LINEAR) + along
        down = (
            cv2.resize(self._down, (count, count), interpolation=cv2.INTER_LINEAR) + along[:, None]
        )
        m = self._matrix
        depth = m[2, 0] * across + m[2, 1] * down + m[2, 2]
        x = (m[0, 0] * across + m[0, 1] * down + m[0, 2]) / depth - 0.5
        y = (m[1, 0] * across + m[1, 1] * down + m[1, 2]) / depth - 0.5
        seen = cv2.remap(self._grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(seen, dtype=np.uint8)

    def refine(self, width: float, times: int) -> None:
        """Move the grid onto the edges ``times`` times.

        ``width``: the window in modules, as a standard deviation.
        """
        for _ in range(times):
            across, down, _ = self._phases(self._edges(), width)
            self._across += across
            self._down += down

    def extend(self, width: float, step: int | None = None) -> None:
        """Fit the grid anew from the finder patterns outwards, ``step`` modules at a time.

        ``step`` None: by the code's size. The part not fitted yet follows the curve of the fitted
        part (a quadratic). So it is only a small part of a module away when it is fitted, however
        far the code bends in all.
        """
        self._across[:] = self._down[:] = 0
        distance, curve = _from_finders(self._size)
        for reach in range(1, self._size - 6, step or max(2, self._size // 16)):
            fitted = distance <= reach
            across, down, weight = self._phases(self._edges() * fitted[..., None], width)
            self._across += across * fitted
            self._down += down * fitted
            self._extrapolate(curve, fitted, weight * fitted)

    def _extrapolate(self, curve: Field, fitted: NDArray[np.bool_], weight: Field) -> None:
        """Move the rest of the grid to the weighted best fit of the fitted part."""
        terms = curve.reshape(-1, curve.shape[-1])
        heavy = terms * (weight / (weight.max() + 1e-9)).reshape(-1, 1)
        wanted = np.stack([self._across.ravel(), self._down.ravel()], axis=1)
        gram = heavy.T @ terms + 1e-4 * heavy[:, 0].sum() * np.eye(terms.shape[1], dtype=np.float32)
        fit = (terms @ np.linalg.solve(gram, heavy.T @ wanted)).reshape(*fitted.shape, 2)
        self._across = np.where(fitted, self._across, fit[..., 0]).astype(np.float32)
        self._down = np.where(fitted, self._down, fit[..., 1]).astype(np.float32)

    @staticmethod
    def _phases(edges: Field, width: float) -> tuple[Field, Field, Field]:
        """Return the displacement across and down in modules, at most half, and its strength."""
        mean = cv2.GaussianBlur(edges, (0, 0), width, borderType=cv2.BORDER_CONSTANT)
        across = np.arctan2(mean[..., 1], mean[..., 0]) / np.float32(2 * np.pi)
        down = np.arctan2(mean[..., 3], mean[..., 2]) / np.float32(2 * np.pi)
        strength = np.hypot(mean[..., 0], mean[..., 1]) + np.hypot(mean[..., 2], mean[..., 3])
        return (
            np.asarray(across, np.float32),
            np.asarray(down, np.float32),
            np.asarray(strength, np.float32),
        )

    def _edges(self) -> Field:
        """Return edge energy times the grid's carrier, across and down: (cells, cells, 4)."""
        seen = cv2.GaussianBlur(self.sample(_STEP).astype(np.float32), (0, 0), _STEP * 0.25)
        across = cv2.Sobel(seen, cv2.CV_32F, 1, 0, ksize=1) ** 2
        down = cv2.Sobel(seen, cv2.CV_32F, 0, 1, ksize=1) ** 2
        cells = self._size + 2 * MARGIN
        busy = cv2.resize(across + down, (cells, cells), interpolation=cv2.INTER_AREA)
        # Each neighbourhood counts alike; 25: sensor noise.
        evened = 1 / (cv2.GaussianBlur(busy, (0, 0), 3) + 25)
        evened[:MARGIN] = evened[-MARGIN:] = 0
        evened[:, :MARGIN] = evened[:, -MARGIN:] = 0
        phase = 2 * np.pi * (np.arange(cells * _STEP, dtype=np.float32) + 0.5) / _STEP
        cos, sin = np.cos(phase), np.sin(phase)
        carried = cv2.merge([across * cos, across * sin, down * cos[:, None], down * sin[:, None]])
        folded = cv2.resize(carried, (cells, cells), interpolation=cv2.INTER_AREA)
        return np.asarray(folded * evened[..., None], np.float32)


@cache
def _from_finders(size: int) -> tuple[Field, Field]:
    """Return each cell's distance in modules from a finder pattern, and terms of a quadratic."""
    at = np.arange(size + 2 * MARGIN, dtype=np.float32) - MARGIN + 0.5
    x, y = np.meshgrid(at, at)
    far = size - 3.5
    distance = np.min(
        [
            np.maximum(np.abs(x - cx), np.abs(y - cy)) - 3.5
            for cx, cy in ((3.5, 3.5), (far, 3.5), (3.5, far))
        ],
        axis=0,
    )
    u, v = x / size - 0.5, y / size - 0.5
    return distance, np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=-1)
