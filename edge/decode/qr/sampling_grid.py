"""The module grid of a code laid over the picture, and bent until the modules' edges fall on it.

A homography from the four corners holds for a flat code. Labels are wrapped round cans, receipts are crumpled,
corners are guessed. What remains is found the way a modem recovers its clock: the energy of the edges, seen
through the grid's own period, has a phase, and the phase is the grid's local displacement (Oerder and Meyr's
timing estimate, in two dimensions). A phase cannot tell a displacement from the same displacement less one
module; so either the window is wide and the error small everywhere (``settle``), or the grid grows outwards from
the finder patterns and stays in step (``grow``).
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode.qr.quad import Quad, array

MARGIN = 2  # modules of quiet zone laid over too
_STEP = 4  # picture samples a module while settling

Field = NDArray[np.float32]


class SamplingGrid:
    """Maps module coordinates (0 to ``size``, from the code's top left) to pixels of ``grey``."""

    def __init__(self, grey: NDArray[np.uint8], quad: Quad, size: int) -> None:
        """``quad``: the code's corners from its top left, clockwise as the code reads; ``size`` in modules."""
        self._grey = grey
        self._size = size
        square = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
        self._matrix = cv2.getPerspectiveTransform(square, array(quad)).astype(np.float32)
        cells = size + 2 * MARGIN
        self._across = np.zeros(
            (cells, cells), np.float32
        )  # displacement in modules at each module's centre
        self._down = np.zeros((cells, cells), np.float32)

    def sample(self, step: int) -> NDArray[np.uint8]:
        """Return the picture seen through the grid, ``step`` samples a module: (cells * step, cells * step)."""
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

    def settle(self, width: float, times: int) -> None:
        """Move the grid onto the edges ``times`` times, with windows of ``width`` modules (one standard deviation)."""
        for _ in range(times):
            across, down, _ = self._phases(self._edges(), width)
            self._across += across
            self._down += down

    def grow(self, width: float, step: int | None = None) -> None:
        """Settle afresh from the finder patterns outwards, ``step`` modules at a time (None: as the size allows).

        Where the grid has not settled yet it follows the curve of what has (a quadratic), so that it is never
        more than a small part of a module away when its turn comes, however far the code bends in all.
        """
        self._across[:] = self._down[:] = 0
        distance, curve = _from_finders(self._size)
        for reach in range(1, self._size - 6, step or max(2, self._size // 16)):
            settled = distance <= reach
            across, down, weight = self._phases(self._edges() * settled[..., None], width)
            self._across += across * settled
            self._down += down * settled
            self._follow(curve, settled, weight * settled)

    def _follow(self, curve: Field, settled: NDArray[np.bool_], weight: Field) -> None:
        """Put the unsettled part of the grid where the weighted best fit of the settled part says."""
        terms = curve.reshape(-1, curve.shape[-1])
        heavy = terms * (weight / (weight.max() + 1e-9)).reshape(-1, 1)
        wanted = np.stack([self._across.ravel(), self._down.ravel()], axis=1)
        gram = heavy.T @ terms + 1e-4 * heavy[:, 0].sum() * np.eye(terms.shape[1], dtype=np.float32)
        fit = (terms @ np.linalg.solve(gram, heavy.T @ wanted)).reshape(*settled.shape, 2)
        self._across = np.where(settled, self._across, fit[..., 0]).astype(np.float32)
        self._down = np.where(settled, self._down, fit[..., 1]).astype(np.float32)

    @staticmethod
    def _phases(edges: Field, width: float) -> tuple[Field, Field, Field]:
        """The displacement across and down in modules, at most half of one, and how strongly it shows."""
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
        """Edge energy times the grid's carrier, across and down, a module: (cells, cells, 4)."""
        seen = cv2.GaussianBlur(self.sample(_STEP).astype(np.float32), (0, 0), _STEP * 0.25)
        across = cv2.Sobel(seen, cv2.CV_32F, 1, 0, ksize=1) ** 2
        down = cv2.Sobel(seen, cv2.CV_32F, 0, 1, ksize=1) ** 2
        cells = self._size + 2 * MARGIN
        busy = cv2.resize(across + down, (cells, cells), interpolation=cv2.INTER_AREA)
        evened = 1 / (
            cv2.GaussianBlur(busy, (0, 0), 3) + 25
        )  # each neighbourhood counts alike; 25: sensor noise
        evened[:MARGIN] = evened[-MARGIN:] = 0
        evened[:, :MARGIN] = evened[:, -MARGIN:] = 0
        phase = 2 * np.pi * (np.arange(cells * _STEP, dtype=np.float32) + 0.5) / _STEP
        cos, sin = np.cos(phase), np.sin(phase)
        carried = cv2.merge([across * cos, across * sin, down * cos[:, None], down * sin[:, None]])
        folded = cv2.resize(carried, (cells, cells), interpolation=cv2.INTER_AREA)
        return np.asarray(folded * evened[..., None], np.float32)


@cache
def _from_finders(size: int) -> tuple[Field, Field]:
    """Each cell's distance in modules from the nearest finder pattern, and the terms of a quadratic over the cells."""
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
