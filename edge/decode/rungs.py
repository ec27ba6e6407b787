"""The rungs: each a name and one small function from a scene to the codes it reads. To add one, add it here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode import zbar, zxing
from edge.decode.quad import scaled
from edge.decode.scene import Scene
from edge.ports import Symbol


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to read a scene. ``read`` may note on the scene what later rungs can use."""

    name: str
    read: Callable[[Scene], tuple[Symbol, ...]]


def plain(scene: Scene) -> tuple[Symbol, ...]:
    """zxing-cpp on the frame as it is."""
    sighting = zxing.look(scene.grey)
    scene.note_unread(sighting.unread)
    return sighting.read


def adaptive_half(scene: Scene) -> tuple[Symbol, ...]:
    """zxing-cpp on the half-size frame, binarised against a broad local mean: uneven light, blur, glare."""
    return _at_full_size(zxing.read(_adaptive(scene.half, 0.2), binarizer=zxing.Binarizer.FIXED))


def zbar_adaptive_half(scene: Scene) -> tuple[Symbol, ...]:
    """zbar on the same picture: damage and curvature."""
    return _at_full_size(zbar.read(_adaptive(scene.half, 0.2)))


RUNGS = (
    Rung("zxing", plain),
    Rung("adaptive-half", adaptive_half),
    Rung("zbar-adaptive-half", zbar_adaptive_half),
)


def _adaptive(grey: NDArray[np.uint8], window: float) -> NDArray[np.uint8]:
    """Black and white against the mean of a window ``window`` times the shorter side."""
    block = max(3, int(min(grey.shape) * window) | 1)
    out = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, block, 5)
    return np.asarray(out, dtype=np.uint8)


def _at_full_size(symbols: tuple[Symbol, ...]) -> tuple[Symbol, ...]:
    return tuple(replace(symbol, quad=scaled(symbol.quad, 2.0)) for symbol in symbols)
