"""A closer look at a code that a decoder located and could not read.

Lay a mesh over it, settle it on the modules' edges, take soft decisions, mend the codewords with erasures,
draw the mended matrix afresh, and let zxing-cpp read the drawing: bytes and character sets stay its business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.decode.qr import zxing
from edge.decode.qr.codewords import RepairedMatrix, repair
from edge.decode.qr.quad import Quad
from edge.decode.qr.sampling_grid import SamplingGrid
from edge.decode.qr.soft_modules import STEP, Soft, centres, equalised, levelled, likeness
from edge.decode.qr.symbol_layout import layout
from edge.ports import Symbol

NAME = "relook"
_LEAST_LIKENESS = 0.55  # below it what was located is not a code of that version there: no read was ever below 0.6

Stages = tuple[Callable[[SamplingGrid], None], ...]
QUICK: Stages = (
    lambda _: None,  # as located
    lambda mesh: mesh.settle(8.0, 3),  # a little off
    lambda mesh: mesh.grow(3.5),  # bent
)
PATIENT: Stages = (
    lambda mesh: mesh.grow(3.5, 1),
    lambda mesh: mesh.settle(3.0, 2),  # crumpled
    lambda mesh: mesh.grow(2.0, 1),
    lambda mesh: mesh.settle(5.0, 2),
)


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """What a closer look came to: the code, or else its soft modules (n, n), which another frame may complete."""

    symbol: Symbol | None
    modules: Soft | None


def recover(
    grey: NDArray[np.uint8],
    place: zxing.LocatedSymbol,
    *,
    stages: Stages = QUICK,
    has_time: Callable[[], bool] = lambda: True,
) -> RecoveryResult:
    """Look closely at ``place`` in ``grey`` (height, width). ``has_time`` is asked between the steps."""
    plan = layout(place.version)
    mesh = SamplingGrid(grey, place.quad, plan.size)
    best: tuple[float, Soft] | None = None
    for bend in stages:
        bend(mesh)
        soft = levelled(mesh.sample(STEP))
        plain = centres(soft)
        alike = likeness(plain, plan)
        if alike < _LEAST_LIKENESS or not has_time():
            break
        symbol = transcribe(repair(plain, place.version), place.quad)
        if symbol is None:
            filtered = equalised(soft, plan)
            symbol = transcribe(repair(filtered, place.version), place.quad)
        if symbol is not None:
            return RecoveryResult(symbol, None)
        if best is None or alike > best[0]:
            best = alike, filtered
    return RecoveryResult(None, best[1] if best else None)


def transcribe(mended: RepairedMatrix | None, quad: Quad) -> Symbol | None:
    """Return what a mended matrix says, None when there is no matrix or it is not a code after all."""
    if mended is None:
        return None
    ink = np.where(np.pad(mended.modules, 4), 0, 255).astype(np.uint8)
    drawn = np.kron(ink, np.ones((3, 3), np.uint8))
    for symbol in zxing.read(drawn):
        return replace(symbol, quad=quad, decoder=NAME)
    return None
