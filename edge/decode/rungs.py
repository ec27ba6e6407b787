"""The rungs of the ladder: each is a name and a function from a scene to the codes it reads.

Their order and the choice of transforms are measured, see docs/explanation/decoder.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge.decode.qr import finder_patterns, recovery, zbar, zxing
from edge.decode.qr.quad import scaled
from edge.decode.qr.zxing import Binarizer, LocatedSymbol
from edge.decode.scene import FrameAnalysis, Grey, local_threshold, sharpened
from edge.ports import Symbol

Read = tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to read a scene. ``read`` may record on the scene what later rungs can use."""

    name: str
    read: Callable[[FrameAnalysis], Read]


def plain(scene: FrameAnalysis) -> Read:
    """Read the frame as it is, with zxing-cpp."""
    return _detect(scene, scene.grey)


def closer(scene: FrameAnalysis) -> Read:
    """Recover codes that were located and not read (see ``recovery``)."""
    while (place := scene.next_waiting()) is not None:
        found = recovery.recover(scene.grey, place, has_time=scene.has_time)
        if found.symbol is not None:
            return (found.symbol,)
        scene.add_studied(place, found.modules)
    return ()


def patient(scene: FrameAnalysis) -> Read:
    """Recover codes that ``closer`` recognised and did not read, by slower bending of the grid."""
    for place, _ in scene.pop_studied():
        found = recovery.recover(
            scene.grey, place, stages=recovery.PATIENT, has_time=scene.has_time
        )
        if found.symbol is not None:
            return (found.symbol,)
    return ()


def global_threshold(scene: FrameAnalysis) -> Read:
    """Read with one threshold for all rows: deep shadow over an even code."""
    return _detect(scene, scene.grey, binarizer=Binarizer.GLOBAL)


def adaptive(of: str, window: float) -> Callable[[FrameAnalysis], Read]:
    """Return a rung that thresholds against a local mean: uneven light, glare.

    ``of``: see ``FrameAnalysis.binary``.
    """
    return lambda scene: _detect(
        scene, scene.binary(of, window), scale=_SCALES[of], binarizer=Binarizer.FIXED
    )


def gamma(exponent: float) -> Callable[[FrameAnalysis], Read]:
    """Return a rung that spreads out highlights (exponent above 1) or shadows."""
    table = np.asarray(255 * (np.arange(256) / 255) ** exponent, dtype=np.uint8)
    return lambda scene: _detect(scene, _grey(cv2.LUT(scene.grey, table)))


def inverted(scene: FrameAnalysis) -> Read:
    """Read the negative: light codes on a dark ground, as some phones show in dark mode."""
    return _detect(scene, _grey(255 - scene.grey))


def zbar_half(scene: FrameAnalysis) -> Read:
    """Read a black and white half-size frame with zbar: damage that zxing-cpp does not tolerate."""
    return _at(0.5, zbar.read(scene.binary("half", 0.2)))


def contours(of: str, window: float) -> Callable[[FrameAnalysis], Read]:
    """Return a rung that locates codes by nested contours: slanted, creased, bent codes."""
    return lambda scene: _closer_at(
        scene,
        finder_patterns.locate(scene.binary(of, window), scene.finders(of, window)),
        _SCALES[of],
    )


def two_finders(of: str, window: float) -> Callable[[FrameAnalysis], Read]:
    """Return a rung that locates codes whose third finder pattern is hidden, burnt out or torn."""
    return lambda scene: _closer_at(
        scene,
        finder_patterns.locate_by_two(scene.binary(of, window), scene.finders(of, window)),
        _SCALES[of],
    )


def sharpen(sigma_px: float, amount: float) -> Callable[[FrameAnalysis], Read]:
    """Return a rung that sharpens the picture: soft focus, modules of two pixels and less."""
    return lambda scene: _detect(scene, sharpened(scene.grey, sigma_px, amount))


def equalised_sharp(scene: FrameAnalysis) -> Read:
    """Read the coarsely equalised, sharpened picture: small and faint codes."""
    return _detect(scene, sharpened(_contrast(scene.grey, 4.0, 4), 2.0, 2.0))


def doubled_sharp(scene: FrameAnalysis) -> Read:
    """Read at twice the size, sharpened."""
    return _detect(scene, sharpened(_double(scene.grey), 2.5, 3.0), scale=2.0)


def equalised_double_sharp(scene: FrameAnalysis) -> Read:
    """Read the locally equalised picture at twice the size, sharpened."""
    return _detect(scene, sharpened(_double(_contrast(scene.grey, 3.0, 8)), 2.5, 2.0), scale=2.0)


def busiest_double(scene: FrameAnalysis) -> Read:
    """Read only the window of finest detail, equalised, doubled and sharpened: small codes."""
    x, y = scene.busiest(*_WINDOW_PX)
    window = scene.grey[y : y + _WINDOW_PX[1], x : x + _WINDOW_PX[0]]
    found = zxing.detect(sharpened(_double(_contrast(window, 3.0, 4)), 2.5, 2.0))
    scene.add_located(replace(place, quad=scaled(place.quad, 0.5, x, y)) for place in found.unread)
    return tuple(replace(symbol, quad=scaled(symbol.quad, 0.5, x, y)) for symbol in found.read)


def adaptive_double_sharp(scene: FrameAnalysis) -> Read:
    """Read in black and white at twice the size, sharpened; then locate by nested contours."""
    grey = sharpened(_double(scene.grey), 2.5, 2.0)
    binary = local_threshold(grey, 0.03)
    read = _detect(scene, binary, scale=2.0, binarizer=Binarizer.FIXED)
    return read or _closer_at(scene, finder_patterns.locate(binary), 2.0)


def zbar_full(scene: FrameAnalysis) -> Read:
    """Read the frame as it is, with zbar."""
    return zbar.read(scene.grey)


RUNGS = (
    Rung("zxing", plain),
    Rung("closer", closer),
    Rung("adaptive-sharp", adaptive("sharp", 0.03)),
    Rung("adaptive-wide", adaptive("smooth", 0.2)),
    Rung("closer-adaptive", closer),
    Rung("adaptive-narrow", adaptive("smooth", 0.05)),
    Rung("contours", contours("smooth", 0.05)),
    Rung("zbar-half", zbar_half),
    Rung("sharpened", sharpen(1.3, 3.0)),
    Rung("closer-sharpened", closer),
    Rung("inverted", inverted),
)

DEEP = (
    *RUNGS,
    Rung("two-finders", two_finders("smooth", 0.05)),
    Rung("patient", patient),
    Rung("busiest-double", busiest_double),
    Rung("adaptive-half-wide", adaptive("half", 0.2)),
    Rung("adaptive-half-narrow", adaptive("half", 0.05)),
    Rung("global", global_threshold),
    Rung("gamma-0.5", gamma(0.5)),
    Rung("gamma-2", gamma(2.0)),
    Rung("equalised-sharp", equalised_sharp),
    Rung("closer-equalised", closer),
    Rung("contours-half", contours("half", 0.2)),
    Rung("two-finders-half", two_finders("half", 0.2)),
    Rung("contours-sharp", contours("sharp", 0.03)),
    Rung("doubled-sharp", doubled_sharp),
    Rung("equalised-double-sharp", equalised_double_sharp),
    Rung("closer-double", closer),
    Rung("adaptive-double-sharp", adaptive_double_sharp),
    Rung("zbar", zbar_full),
    Rung("patient-double", patient),
)

# On a live camera: the first on every frame, then one of the others in turn. Only rungs that cost
# little where there is no code, because most frames have none.
LIVE = (
    Rung("zxing", plain),
    Rung("gamma-0.5", gamma(0.5)),
    Rung("adaptive-wide", adaptive("smooth", 0.2)),
    Rung("busiest-double", busiest_double),
    Rung("adaptive-sharp", adaptive("sharp", 0.03)),
    Rung("contours", contours("half", 0.05)),
    Rung("sharpened", sharpen(1.3, 3.0)),
    Rung("zbar-half", zbar_half),
    Rung("inverted", inverted),
)

_WINDOW_PX = (480, 360)  # a code that needs doubling is smaller
_SCALES = {"half": 0.5, "smooth": 1.0, "sharp": 1.0}


def _detect(
    scene: FrameAnalysis, grey: Grey, *, scale: float = 1.0, binarizer: Binarizer = Binarizer.LOCAL
) -> Read:
    """Read ``grey``, which is the scene times ``scale``, with zxing-cpp; record located codes."""
    found = zxing.detect(grey, binarizer=binarizer)
    scene.add_located(replace(place, quad=scaled(place.quad, 1 / scale)) for place in found.unread)
    return _at(scale, found.read)


def _closer_at(scene: FrameAnalysis, places: Iterable[LocatedSymbol], scale: float) -> Read:
    """Recover codes at ``places`` of a picture that is the scene times ``scale``."""
    scene.add_located(replace(place, quad=scaled(place.quad, 1 / scale)) for place in places)
    return closer(scene)


def _at(scale: float, symbols: Sequence[Symbol]) -> Read:
    """Return ``symbols`` of a picture that is the scene times ``scale`` in the scene's pixels."""
    return tuple(replace(symbol, quad=scaled(symbol.quad, 1 / scale)) for symbol in symbols)


def _contrast(grey: Grey, limit: float, tiles: int) -> Grey:
    return _grey(cv2.createCLAHE(clipLimit=limit, tileGridSize=(tiles, tiles)).apply(grey))


def _double(grey: Grey) -> Grey:
    height, width = grey.shape
    return _grey(cv2.resize(grey, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC))


def _grey(picture: object) -> Grey:
    return np.asarray(picture, dtype=np.uint8)
