"""Why a code that is seen cannot be read, for the screen and the lamps. Pure.

Only reasons that a person can act on: come closer, hold still, turn away from the lamp.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode.qr.finder_patterns import FinderPattern
from edge.decode.qr.quad import array, box, side_px
from edge.decode.qr.zxing import LocatedSymbol
from edge.ports import Hint

_FAR_PX = 2.0  # pixels a module; fewer are read only under perfect conditions
_DARK = 70  # the white of the code, in grey levels
_FLAT = 30  # levels between its black and white
_BURNT_SHARE = 0.02  # of the code, in white patches larger than any that a code has
_SOFT_MODULES = 0.8  # width of an edge, in modules


def hint_for(grey: NDArray[np.uint8], place: LocatedSymbol) -> Hint | None:
    """Return the most certain reason why the code at ``place`` in ``grey`` is hard to read.

    ``grey``: (height, width). None: no reason found.
    """
    height, width = grey.shape
    left, top, right, bottom = box(place.quad)
    module_px = side_px(place.quad) / (17 + 4 * place.version)
    if (
        left < -module_px
        or top < -module_px
        or right > width + module_px
        or bottom > height + module_px
    ):
        return Hint.CUT_OFF
    crop = grey[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1]
    black, white = (float(level) for level in np.percentile(crop, (5, 95)))
    if white < _DARK:
        return Hint.TOO_DARK
    if _burnt_share(crop, place, module_px) > _BURNT_SHARE:
        return Hint.GLARE
    if module_px < _FAR_PX:
        return Hint.TOO_FAR
    if white - black < _FLAT:
        return Hint.TOO_DARK
    return Hint.BLURRED if _edge_px(crop, white - black) > _SOFT_MODULES * module_px else None


def hint_for_parts(grey: NDArray[np.uint8], parts: list[FinderPattern]) -> Hint | None:
    """Return CUT_OFF when one or two finder patterns belong to a fine pattern at the border."""
    if not 1 <= len(parts) <= 2:
        return None
    module_px = parts[0].module_px
    scale = min(1.0, 2 / module_px)
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    busy = cv2.morphologyEx(small, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    dense = cv2.blur(busy, (25, 25)) > 60  # 25: about an eighth of a code's width
    _, labels = cv2.connectedComponents(dense.astype(np.uint8))
    x, y = (parts[0].centre * scale).astype(int)
    label = labels[min(y, labels.shape[0] - 1), min(x, labels.shape[1] - 1)]
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return Hint.CUT_OFF if label and bool(np.any(border == label)) else None


def _burnt_share(crop: NDArray[np.uint8], place: LocatedSymbol, module_px: float) -> float:
    """Return the share of the code that is burnt out: white over five modules both ways."""
    side = max(3, int(5 * module_px))
    kernel = np.ones((side, side), np.uint8)
    darkest = cv2.erode(crop, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    burnt = darkest >= 240
    inside = np.zeros(crop.shape, np.uint8)
    left, top, _, _ = box(place.quad)
    corners = array(place.quad) - np.array([max(0, int(left)), max(0, int(top))], np.float32)
    cv2.fillConvexPoly(inside, corners.astype(np.int32), 1)
    return float(np.count_nonzero(burnt & (inside > 0))) / max(1, int(inside.sum()))


def _edge_px(crop: NDArray[np.uint8], contrast: float) -> float:
    """Return how many pixels the steepest edges take from black to white."""
    light = crop.astype(np.float32)
    across = cv2.Sobel(light, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(light, cv2.CV_32F, 0, 1, ksize=3)
    steepness = np.hypot(across, down) / 8
    return contrast / max(1.0, float(np.percentile(steepness, 95)))
