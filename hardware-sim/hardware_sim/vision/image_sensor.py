"""Image sensor: light in, grey out, and automatic exposure for the whole picture. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.ports import Exposure

Light = NDArray[np.float32]  # (height, width): the grey level at NOMINAL, without an upper limit

NOMINAL: Final = Exposure(4000.0, 1.0)
LAG: Final = 3  # frames until a requested exposure takes effect
_WANTED_MEAN: Final = 110.0  # of the whole picture
_NOISE: Final = 1.5  # grey levels at gain 1


def automatic(light: Light) -> Exposure:
    """Return the exposure for a medium mean grey: time up to 33 ms first, then gain up to 8."""
    wanted = NOMINAL.light * _WANTED_MEAN / max(1.0, float(light.mean()))
    time_us = min(max(wanted, 50.0), 33_000.0)
    return Exposure(time_us, min(max(wanted / time_us, 1.0), 8.0))


def expose(light: Light, exposure: Exposure, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the picture: light beyond white is clipped, and gain amplifies noise."""
    seen = light * np.float32(exposure.light / NOMINAL.light)
    seen += np.float32(_NOISE * exposure.gain) * rng.standard_normal(light.shape, dtype=np.float32)
    grey: NDArray[np.uint8] = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return grey
