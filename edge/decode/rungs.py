"""The rungs: each a name and one small function from a scene to the codes it reads. To add one, add it here.

Their order and the choice of transforms are measured, see docs/decoder.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge.decode import finders, relook, zbar, zxing
from edge.decode.quad import scaled
from edge.decode.scene import Grey, Scene
from edge.decode.zxing import Binarizer
from edge.ports import Symbol

Read = tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to read a scene. ``read`` may note on the scene what later rungs can use."""

    name: str
    read: Callable[[Scene], Read]


def plain(scene: Scene) -> Read:
    """zxing-cpp on the frame as it is."""
    return _look(scene, scene.grey)


def closer(scene: Scene) -> Read:
    """A closer look at what was located and not read (see ``relook``)."""
    while (place := scene.next_waiting()) is not None:
        if (symbol := relook.read(scene.grey, place, has_time=scene.has_time)) is not None:
            return (symbol,)
    return ()


def global_threshold(scene: Scene) -> Read:
    """zxing-cpp with one threshold for all rows: deep shadow with an even code."""
    return _look(scene, scene.grey, binarizer=Binarizer.GLOBAL)


def adaptive_half(window: float) -> Callable[[Scene], Read]:
    """zxing-cpp on the half-size frame, black and white against a local mean: uneven light, blur, glare."""
    return lambda scene: _look(scene, scene.binary("half", window), scale=0.5, binarizer=Binarizer.FIXED)


def adaptive(window: float) -> Callable[[Scene], Read]:
    """The same at full size."""
    return lambda scene: _look(scene, scene.binary("smooth", window), binarizer=Binarizer.FIXED)


def gamma(exponent: float) -> Callable[[Scene], Read]:
    """zxing-cpp on a picture with its highlights (exponent above 1) or its shadows spread out."""
    table = np.asarray(255 * (np.arange(256) / 255) ** exponent, dtype=np.uint8)
    return lambda scene: _look(scene, _grey(cv2.LUT(scene.grey, table)))


def equalised(scene: Scene) -> Read:
    """zxing-cpp on locally equalised contrast (CLAHE): haze, faint print."""
    return _look(scene, _contrast(scene.grey))


def inverted(scene: Scene) -> Read:
    """zxing-cpp on the negative: light codes on a dark ground, as some phones show in dark mode."""
    return _look(scene, _grey(255 - scene.grey))


def zbar_half(scene: Scene) -> Read:
    """zbar on a black and white half-size frame: damage that zxing-cpp does not forgive."""
    return _at(0.5, zbar.read(scene.binary("half", 0.2)))


def contours_half(window: float) -> Callable[[Scene], Read]:
    """A closer look where nested contours make a code, at half size: slanted, creased, bent codes."""
    return lambda scene: _locate(scene, scene.binary("half", window), 0.5)


def contours(window: float) -> Callable[[Scene], Read]:
    """The same at full size: small codes."""
    return lambda scene: _locate(scene, scene.binary("smooth", window), 1.0)


def doubled(scene: Scene) -> Read:
    """zxing-cpp at twice the size: modules of two pixels and less."""
    return _look(scene, _double(scene.grey), scale=2.0)


def equalised_double(scene: Scene) -> Read:
    """The same on locally equalised contrast."""
    return _look(scene, _double(_contrast(scene.grey)), scale=2.0)


def median(scene: Scene) -> Read:
    """zxing-cpp behind a median filter: scratches, scan lines, halftone."""
    return _look(scene, _grey(cv2.medianBlur(scene.grey, 5)))


def zbar_full(scene: Scene) -> Read:
    """zbar on the frame as it is."""
    return zbar.read(scene.grey)


RUNGS = (
    Rung("zxing", plain),
    Rung("closer", closer),
    Rung("adaptive-half-narrow", adaptive_half(0.05)),
    Rung("global", global_threshold),
    Rung("adaptive-narrow", adaptive(0.05)),
    Rung("adaptive-half-wide", adaptive_half(0.2)),
    Rung("closer-adaptive", closer),
    Rung("zbar-half", zbar_half),
    Rung("gamma-2", gamma(2.0)),
    Rung("closer-gamma", closer),
    Rung("contours-half", contours_half(0.2)),
    Rung("contours", contours(0.05)),
    Rung("gamma-0.5", gamma(0.5)),
    Rung("inverted", inverted),
)

DEEP = (
    *RUNGS,
    Rung("equalised", equalised),
    Rung("adaptive-wide", adaptive(0.2)),
    Rung("closer-equalised", closer),
    Rung("contours-wide", contours(0.2)),
    Rung("contours-half-narrow", contours_half(0.05)),
    Rung("median", median),
    Rung("doubled", doubled),
    Rung("equalised-double", equalised_double),
    Rung("closer-doubled", closer),
    Rung("zbar", zbar_full),
)


def _look(scene: Scene, grey: Grey, *, scale: float = 1.0, binarizer: Binarizer = Binarizer.LOCAL) -> Read:
    """zxing-cpp on ``grey``, which is the scene times ``scale``; what it cannot read is noted."""
    sighting = zxing.look(grey, binarizer=binarizer)
    scene.note(replace(place, quad=scaled(place.quad, 1 / scale)) for place in sighting.unread)
    return _at(scale, sighting.read)


def _locate(scene: Scene, binary: Grey, scale: float) -> Read:
    scene.note(replace(place, quad=scaled(place.quad, 1 / scale)) for place in finders.locate(binary))
    return closer(scene)


def _at(scale: float, symbols: Sequence[Symbol]) -> Read:
    """The symbols in pixels of the scene."""
    return tuple(replace(symbol, quad=scaled(symbol.quad, 1 / scale)) for symbol in symbols)


def _contrast(grey: Grey) -> Grey:
    return _grey(cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(grey))


def _double(grey: Grey) -> Grey:
    height, width = grey.shape
    return _grey(cv2.resize(grey, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC))


def _grey(picture: object) -> Grey:
    return np.asarray(picture, dtype=np.uint8)
