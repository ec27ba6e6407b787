"""Exposure proposals that make a code readable. Pure.

Cameras expose for the whole picture, but only the code matters. A phone's screen in the dark burns
out; a label in a lamp's glare is white where it should be grey. ``propose`` meters the region of
the code; ``bracket`` varies around it while a code is seen and not read, so that one of a few
frames is exposed well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.decode.qr.quad import Quad, box
from edge.ports import Exposure

_WHITE = 200.0  # grey level wanted of the code's white: below burning out, above the noise
_BURNT = 250
_COARSE = 8  # one pixel in so many is sampled, each way
_SCREEN_SHARE = 0.01  # of the picture: a phone at arm's length
_DARK_ROOM = 60
_DEAD_BAND = 1.25  # a smaller change is not worth a flickering picture
_LARGEST_STEP = 4.0
# Factors of the exposure: the second recovers a burnt code, the third a dark one.
_BRACKET = (1.0, 0.35, 2.5)


@dataclass(frozen=True, slots=True)
class ExposureLimits:
    """Limits of the camera, and of motion blur."""

    longest_us: float = 8_000.0  # a hand moves a module in about this time
    shortest_us: float = 50.0
    highest_gain: float = 12.0


def propose(
    grey: NDArray[np.uint8], now: Exposure, limits: ExposureLimits, place: Quad | None = None
) -> Exposure:
    """Return the exposure for the next frames, given ``grey`` (height, width) exposed as ``now``.

    ``place``: where a code was last read or seen; None meters the middle of the picture. Returns
    ``now`` itself where the change would be too small to see.
    """
    region = _region(grey, place)
    burnt = float(np.mean(region >= _BURNT))
    white = float(np.percentile(region, 90))
    factor = 1 / _LARGEST_STEP if burnt > 0.9 else 0.5 if burnt > 0.3 else _WHITE / max(white, 8.0)
    factor = min(max(factor, 1 / _LARGEST_STEP), _LARGEST_STEP)
    if 1 / _DEAD_BAND < factor < _DEAD_BAND:
        return now
    return _split(now.light * factor, limits)


def bracket(converged: Exposure, limits: ExposureLimits, turn: int) -> Exposure:
    """Return the exposure of frame ``turn`` (0, 1, ...) while a code is seen and not read."""
    return _split(converged.light * _BRACKET[turn % len(_BRACKET)], limits)


def burnt_place(grey: NDArray[np.uint8]) -> Quad | None:
    """Return the box round what is burnt out in a dark ``grey``: a screen with an invisible code.

    None: nothing is burnt out, or the picture is not dark.
    """
    small = grey[::_COARSE, ::_COARSE]
    burnt = small >= _BURNT
    if burnt.mean() < _SCREEN_SHARE or np.median(small) > _DARK_ROOM:
        return None
    rows, columns = np.flatnonzero(burnt.any(axis=1)), np.flatnonzero(burnt.any(axis=0))
    top, bottom = float(rows[0] * _COARSE), float((rows[-1] + 1) * _COARSE)
    left, right = float(columns[0] * _COARSE), float((columns[-1] + 1) * _COARSE)
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _split(light: float, limits: ExposureLimits) -> Exposure:
    """Split ``light`` into time, as far as motion allows, and gain: time adds no noise."""
    time_us = min(max(light, limits.shortest_us), limits.longest_us)
    return Exposure(time_us, min(max(light / time_us, 1.0), limits.highest_gain))


def _region(grey: NDArray[np.uint8], place: Quad | None) -> NDArray[np.uint8]:
    height, width = grey.shape
    if place is None:
        return grey[height // 4 : max(1, height * 3 // 4), width // 4 : max(1, width * 3 // 4)]
    left, top, right, bottom = (round(edge) for edge in box(place))
    inside = grey[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    return inside if inside.size else grey
