"""Lens and sensor: from light to grey values.

Each function takes and returns a float32 picture (height, width) in grey levels, which may be
beyond 0 to 255 until ``expose`` clips it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware_sim.vision.view_condition import ViewCondition

Light = NDArray[np.float32]
Grey = NDArray[np.uint8]


def see(
    light: Light,
    condition: ViewCondition,
    centre: tuple[float, float],
    size_px: float,
    rng: np.random.Generator,
) -> Grey:
    """Take one picture of ``light``; the glare falls on the code at ``centre`` of ``size_px``."""
    seen = add_glare(light, condition, centre, size_px, rng)
    seen = blur(seen, condition)
    seen = shade(seen, condition, rng)
    return compress(expose(seen, condition, rng), condition)


def add_glare(
    light: Light,
    condition: ViewCondition,
    centre: tuple[float, float],
    size_px: float,
    rng: np.random.Generator,
) -> Light:
    """Add an elliptic highlight somewhere on the code."""
    if condition.glare <= 0:
        return light
    radius = max(1.0, condition.glare_size * size_px)
    x, y = (middle + rng.uniform(-0.25, 0.25) * size_px for middle in centre)
    rows, columns = np.ogrid[: light.shape[0], : light.shape[1]]
    squared = ((columns - x) / radius) ** 2 + ((rows - y) / (radius * rng.uniform(0.5, 1.0))) ** 2
    # The square of the squared distance: a flat, burnt-out centre with a steep edge, as on varnish.
    spot = np.exp(-(squared**2)).astype(np.float32)
    burnt: Light = light + (condition.glare * spot) * (320.0 - light)
    return burnt


def blur(light: Light, condition: ViewCondition) -> Light:
    """Defocus, then smear along the motion."""
    seen = light
    if condition.defocus_px > 0:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), condition.defocus_px), dtype=np.float32)
    if condition.motion_px > 1:
        seen = np.asarray(cv2.filter2D(seen, -1, _smear(condition)), dtype=np.float32)
    return seen


def _smear(condition: ViewCondition) -> Light:
    side = 2 * math.ceil(condition.motion_px / 2) + 1
    angle = math.radians(condition.motion_angle_deg)
    reach = condition.motion_px / 2
    kernel = np.zeros((side, side), dtype=np.float32)
    for step in np.linspace(-reach, reach, 4 * side):
        kernel[
            round(side // 2 + step * math.sin(angle)), round(side // 2 + step * math.cos(angle))
        ] += 1
    smear: Light = kernel / kernel.sum()
    return smear


def shade(light: Light, condition: ViewCondition, rng: np.random.Generator) -> Light:
    """Add vignetting, and the dark bands of a rolling shutter under flickering light."""
    height, width = light.shape
    seen = light
    if condition.vignetting > 0:
        rows, columns = np.ogrid[-1.0 : 1.0 : height * 1j, -1.0 : 1.0 : width * 1j]
        seen = seen * (1 - condition.vignetting * (rows**2 + columns**2) / 2).astype(np.float32)
    if condition.banding > 0:
        phase = rng.uniform(0, 2 * math.pi)
        wave = np.sin(2 * math.pi * np.arange(height) / condition.banding_px + phase)
        seen = seen * (1 - condition.banding * (0.5 + 0.5 * wave)).astype(np.float32)[:, None]
    return seen


def expose(light: Light, condition: ViewCondition, rng: np.random.Generator) -> Grey:
    """Apply contrast, brightness, gamma and sensor noise, and round to eight bits."""
    seen = (light - 127.5) * np.float32(condition.contrast) + np.float32(
        127.5 + condition.brightness
    )
    if condition.gamma != 1.0:
        seen = 255 * (np.clip(seen, 0, 255) / 255) ** np.float32(condition.gamma)
    if condition.noise > 0:
        seen = seen + np.float32(condition.noise) * rng.standard_normal(
            seen.shape, dtype=np.float32
        )
    grey: Grey = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return grey


def compress(grey: Grey, condition: ViewCondition) -> Grey:
    """Encode as JPEG of the condition's quality and decode again."""
    if condition.jpeg_quality is None:
        return grey
    _, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, condition.jpeg_quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
