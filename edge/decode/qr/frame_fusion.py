"""Fusion of several frames of one code: the sum of its soft modules.

Noise, glare and a moving reflection differ from frame to frame; the modules do not. The sampling
grids have aligned the frames module by module, so that they need only be added.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge.decode.qr.codewords import repair
from edge.decode.qr.quad import centre, side_px
from edge.decode.qr.recovery import transcribe
from edge.decode.qr.soft_modules import Soft
from edge.decode.qr.zxing import LocatedSymbol
from edge.ports import Symbol

_FORGET_MS = 1500.0
_MOST_CODES = 4
_SAME_CODE = 0.3  # correlation of two codes' modules; another code at the same place has none


@dataclass(slots=True)
class _Sum:
    place: LocatedSymbol
    modules: Soft
    frames: int
    seen_ms: float


@dataclass(slots=True)
class FrameFusion:
    """Sums of soft modules, one a code in view. Time is an argument; memory is bounded."""

    _sums: list[_Sum] = field(default_factory=list)

    def add(self, place: LocatedSymbol, modules: Soft, now_ms: float) -> Symbol | None:
        """Add soft modules (n, n) of the code at ``place``; return the code once it is readable."""
        self._sums = [known for known in self._sums if now_ms - known.seen_ms < _FORGET_MS][
            -_MOST_CODES:
        ]
        clipped = np.asarray(np.clip(modules, -1, 1), np.float32)
        for known in self._sums:
            if _is_same(known, place, clipped):
                known.modules += clipped
                known.frames += 1
                known.place, known.seen_ms = place, now_ms
                return transcribe(
                    repair(known.modules / np.float32(known.frames), place.version), place.quad
                )
        self._sums.append(_Sum(place, clipped, 1, now_ms))
        return None

    def clear(self) -> None:
        """Forget all sums: the code was read."""
        self._sums.clear()


def _is_same(known: _Sum, place: LocatedSymbol, modules: Soft) -> bool:
    if known.place.version != place.version:
        return False
    apart = np.hypot(*np.subtract(centre(known.place.quad), centre(place.quad)))
    return bool(
        apart < side_px(place.quad)
        and np.corrcoef(known.modules.ravel(), modules.ravel())[0, 1] > _SAME_CODE
    )
