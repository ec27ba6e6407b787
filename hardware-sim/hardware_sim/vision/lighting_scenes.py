"""Scenes, as light, in which automatic exposure fails: see ``CameraScene.show_light``."""

from __future__ import annotations

import cv2
import numpy as np

from hardware_sim.vision.image_sensor import Light
from hardware_sim.vision.render import draw
from hardware_sim.vision.view_condition import ViewCondition

_ROOM = 3.0  # grey levels at the nominal exposure
_SCREEN = 30.0  # times as bright as paper
_FLARE = 0.1  # of the light, spread by the lens


def phone_in_the_dark(
    text: str | bytes,
    *,
    rng: np.random.Generator,
    width_px: int = 640,
    height_px: int = 480,
    px_per_module: float = 2.2,
) -> Light:
    """Return the light of a phone that shows ``text`` in a dark room."""
    shown = ViewCondition(
        screen=True,
        px_per_module=px_per_module,
        clutter=0.1,
        background=4,
        pixel_grid=0.05,
        defocus_px=0.6,
    )
    drawn = draw([(text, shown)], rng=rng, width_px=width_px, height_px=height_px)
    light = np.clip(drawn.grey.astype(np.float32) - 12, 0, None) * _SCREEN
    flare = np.asarray(cv2.GaussianBlur(light, (0, 0), 25), dtype=np.float32)
    return np.asarray(light + _FLARE * flare + _ROOM, dtype=np.float32)


def glare_on_a_label(
    text: str | bytes,
    *,
    rng: np.random.Generator,
    width_px: int = 640,
    height_px: int = 480,
    px_per_module: float = 5.0,
) -> Light:
    """Return the light of a label with ``text`` under a reflection twice as bright as paper."""
    shown = ViewCondition(px_per_module=px_per_module, background=90, defocus_px=0.6)
    drawn = draw([(text, shown)], rng=rng, width_px=width_px, height_px=height_px)
    corners = np.asarray(drawn.quads[0])
    (x, y), side = corners.mean(axis=0), np.ptp(corners[:, 0])
    rows, columns = np.mgrid[:height_px, :width_px]
    squared = ((columns - x) / (0.5 * side)) ** 2 + ((rows - y) / (0.35 * side)) ** 2
    return np.asarray(drawn.grey + 500 * np.exp(-(squared**2)), dtype=np.float32)
