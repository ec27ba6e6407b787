"""Recovery of a code that a decoder located and could not read.

A sampling grid is laid over the code and refined to the modules' edges. The samples give soft
modules, and the codewords are repaired with erasures. The repaired matrix is drawn afresh and
zxing-cpp reads the drawing, so that bytes and character sets are decoded in one place.
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

NAME = "recovery"
_LEAST_LIKENESS = 0.55  # below it there is no code of that version; no read was ever below 0.6

Stages = tuple[Callable[[SamplingGrid], None], ...]
QUICK: Stages = (
    lambda _: None,  # as located
    lambda grid: grid.refine(8.0, 3),  # slightly displaced
    lambda grid: grid.extend(3.5),  # bent
)
PATIENT: Stages = (
    lambda grid: grid.extend(3.5, 1),
    lambda grid: grid.refine(3.0, 2),  # crumpled
    lambda grid: grid.extend(2.0, 1),
    lambda grid: grid.refine(5.0, 2),
)


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """The code, or else its soft modules (n, n), which another frame may complete."""

    symbol: Symbol | None
    modules: Soft | None


def recover(
    grey: NDArray[np.uint8],
    place: zxing.LocatedSymbol,
    *,
    stages: Stages = QUICK,
    has_time: Callable[[], bool] = lambda: True,
) -> RecoveryResult:
    """Try to read the code at ``place`` in ``grey`` (height, width).

    Ends between two stages once ``has_time`` returns false.
    """
    plan = layout(place.version)
    grid = SamplingGrid(grey, place.quad, plan.size)
    best: tuple[float, Soft] | None = None
    for bend in stages:
        bend(grid)
        soft = levelled(grid.sample(STEP))
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


def transcribe(repaired: RepairedMatrix | None, quad: Quad) -> Symbol | None:
    """Return the content of a repaired matrix; None without a matrix, or when it is not a code."""
    if repaired is None:
        return None
    ink = np.where(np.pad(repaired.modules, 4), 0, 255).astype(np.uint8)
    drawn = np.kron(ink, np.ones((3, 3), np.uint8))
    for symbol in zxing.read(drawn):
        return replace(symbol, quad=quad, decoder=NAME)
    return None
