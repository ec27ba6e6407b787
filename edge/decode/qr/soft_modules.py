"""From samples of the grid to soft modules: how dark each module is, and how certainly.

Soft values are about +1 for a dark module and -1 for a light one, near 0 where it is unclear.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode.qr.sampling_grid import MARGIN
from edge.decode.qr.symbol_layout import UNKNOWN, SymbolLayout

Soft = NDArray[np.float32]

STEP = 3  # samples a module, so that the middle one is the module's centre
_REACH = 2  # samples to each side that the equaliser uses
_PRIOR = 0.03  # weight of the assumption that the centre sample is right, in training sets


def levelled(samples: NDArray[np.uint8]) -> Soft:
    """Return samples (STEP a module, with margin) as soft values against the local black and white.

    Light falls unevenly and glare lifts both ends, so black and white are means over the modules
    around.
    """
    centres = samples[STEP // 2 :: STEP, STEP // 2 :: STEP].astype(np.float32)
    threshold = cv2.GaussianBlur(centres, (0, 0), 2.8, borderType=cv2.BORDER_REFLECT)
    for _ in range(2):
        is_white = (centres > threshold).astype(np.float32)
        white, black = _mean_where(centres, is_white), _mean_where(centres, 1 - is_white)
        threshold = (white + black) / 2
    reach = 1 / np.maximum((white - black) / 2, 4)  # 4 grey levels: below that there is only noise
    size = samples.shape[::-1]
    threshold = cv2.resize(threshold, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(
        (threshold - samples) * cv2.resize(reach, size, interpolation=cv2.INTER_LINEAR), np.float32
    )


def centres(soft: Soft) -> Soft:
    """Return the centre value of each module of the code, (n, n), of levelled samples."""
    inner = soft[MARGIN * STEP : -MARGIN * STEP, MARGIN * STEP : -MARGIN * STEP]
    return np.ascontiguousarray(inner[STEP // 2 :: STEP, STEP // 2 :: STEP])


def likeness(modules: Soft, plan: SymbolLayout) -> float:
    """Return how far modules (n, n) agree with the fixed patterns: 1 wholly, 0 by chance."""
    fixed = plan.known != UNKNOWN
    return float(np.mean(np.clip(modules[fixed], -1, 1) * (2 * plan.known[fixed] - 1)))


def equalised(soft: Soft, plan: SymbolLayout, guess: Soft | None = None) -> Soft:
    """Return modules (n, n) without the influence of their neighbours, like a modem's equaliser.

    A linear filter over the samples around a module is fitted to the fixed patterns, whose values
    the standard gives: blur, motion, a bled print or a halftone each leave their own filter. With
    ``guess`` (a first pass) its certain modules train the filter too.
    """
    size, reach = plan.size, range(-_REACH, _REACH + 1)
    first = MARGIN * STEP + STEP // 2
    views = [
        soft[first + y :: STEP, first + x :: STEP][:size, :size].ravel()
        for y in reach
        for x in reach
    ]
    seen = np.stack([*views, np.ones(size * size, np.float32)], axis=1)
    prior = np.zeros(seen.shape[1], np.float32)
    prior[len(views) // 2] = 1
    weight, target = _training(plan, guess)
    heavy = seen * weight[:, None]
    gram = heavy.T @ seen + np.diag(np.full(len(prior), _PRIOR * weight.sum(), np.float32))
    change = np.linalg.solve(gram, heavy.T @ (target - seen @ prior))
    return np.asarray((seen @ (prior + change)).reshape(size, size), np.float32)


def _training(plan: SymbolLayout, guess: Soft | None) -> tuple[Soft, Soft]:
    known = plan.known.ravel()
    fixed = known != UNKNOWN
    if guess is None:
        return fixed.astype(np.float32), np.where(known == 1, 1, -1).astype(np.float32)
    certain = np.abs(guess.ravel()) > 0.5
    weight = np.where(fixed, 1, np.where(certain, 0.3, 0)).astype(np.float32)
    return weight, np.where(fixed, np.where(known == 1, 1, -1), np.sign(guess.ravel())).astype(
        np.float32
    )


def _mean_where(values: Soft, weight: Soft) -> Soft:
    total = cv2.GaussianBlur(values * weight, (0, 0), 3.5, borderType=cv2.BORDER_REFLECT)
    return np.asarray(
        total / (cv2.GaussianBlur(weight, (0, 0), 3.5, borderType=cv2.BORDER_REFLECT) + 1e-3),
        np.float32,
    )
