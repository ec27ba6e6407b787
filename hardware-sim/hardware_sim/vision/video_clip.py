"""Clip of a phone that a hand brings to the camera."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hardware_sim.vision.optics import Grey
from hardware_sim.vision.render import backdrop, draw
from hardware_sim.vision.view_condition import PHONE_SCREEN, ViewCondition


def clip(
    text: str | bytes,
    *,
    rng: np.random.Generator,
    frames: int = 45,
    condition: ViewCondition = PHONE_SCREEN,
    width_px: int = 1280,
    height_px: int = 720,
) -> Iterator[Grey]:
    """Yield ``frames`` frames of a phone that moves in from the lower right.

    It is smeared, and the lens searches for focus. During the last fifth it is held still, as
    ``condition`` describes. The background stays the same.
    """
    scene = backdrop(condition, rng=rng, width_px=width_px, height_px=height_px)
    focus_phase = rng.uniform(0, 2 * math.pi)
    for number in range(frames):
        moment = _moment(condition, number / max(1, frames - 1), focus_phase, rng)
        yield draw(
            [(text, moment)], rng=rng, width_px=width_px, height_px=height_px, behind=scene
        ).grey


def _moment(
    condition: ViewCondition, time: float, focus_phase: float, rng: np.random.Generator
) -> ViewCondition:
    """Return the condition at ``time``, 0 at the first frame and 1 at the last."""
    remaining = max(0.0, 1 - time / 0.8)  # 1 far away, 0 arrived
    distance = remaining**2  # slows down: the speed is proportional to what remains
    tremor_x, tremor_y = rng.normal(0, 0.002 + 0.004 * remaining, 2)
    return replace(
        condition,
        position=(0.5 + 0.55 * distance + tremor_x, 0.5 + 0.5 * distance + tremor_y),
        px_per_module=condition.px_per_module * (1 - 0.45 * distance),
        rotation_deg=condition.rotation_deg + 25 * distance,
        tilt_deg=condition.tilt_deg + 20 * distance,
        motion_px=condition.motion_px + 22 * remaining,
        motion_angle_deg=40 + 10 * math.sin(9 * time + focus_phase),
        defocus_px=condition.defocus_px + 3 * remaining * math.sin(7 * time + focus_phase) ** 2,
        banding=max(condition.banding, 0.25 * remaining),
    )
