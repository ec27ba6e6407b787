"""A closer look at a code that a decoder located and could not read.

Lay a mesh over it, settle it on the modules' edges, take soft decisions, mend the codewords with erasures,
draw the mended matrix afresh, and let zxing-cpp read the drawing: bytes and character sets stay its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.decode import zxing
from edge.decode.codewords import Mended, mend
from edge.decode.layout import Layout, layout
from edge.decode.mesh import Mesh
from edge.decode.quad import Quad
from edge.decode.softmodules import STEP, centres, equalised, levelled, likeness
from edge.ports import Symbol

NAME = "relook"
_LEAST_LIKENESS = 0.42  # below it what was located is not a code of that version there
_STAGES: tuple[Callable[[Mesh], None], ...] = (
    lambda _: None,  # as located
    lambda mesh: mesh.settle(8.0, 3),  # a little off
    lambda mesh: mesh.grow(3.5),  # bent
    lambda mesh: mesh.settle(3.0, 2),  # crumpled
)


def read(
    grey: NDArray[np.uint8], candidate: zxing.Located, *, has_time: Callable[[], bool] = lambda: True
) -> Symbol | None:
    """Return the code at ``candidate`` in ``grey`` (height, width), or None; ``has_time`` is asked now and then."""
    plan = layout(candidate.version)
    mesh = Mesh(grey, candidate.quad, plan.size)
    for bend in _STAGES:
        bend(mesh)
        soft = levelled(mesh.sample(STEP))
        modules = centres(soft)
        if likeness(modules, plan) < _LEAST_LIKENESS or not has_time():
            return None
        for decided in _decisions(soft, modules, plan):
            mended = mend(decided, plan.version)
            if mended is not None and (symbol := _transcribed(mended, candidate.quad)):
                return symbol
    return None


def _decisions(soft: NDArray[np.float32], modules: NDArray[np.float32], plan: Layout) -> Iterator[NDArray[np.float32]]:
    yield modules
    first = equalised(soft, plan)
    yield first
    yield equalised(soft, plan, guess=first)


def _transcribed(mended: Mended, quad: Quad) -> Symbol | None:
    ink = np.where(np.pad(mended.modules, 4), 0, 255).astype(np.uint8)
    drawn = np.kron(ink, np.ones((3, 3), np.uint8))
    for symbol in zxing.read(drawn):
        return replace(symbol, quad=quad, decoder=NAME)
    return None
