"""Rendered camera frames of QR codes: functions of a text, a condition and a random generator.

>>> import numpy as np
>>> render("ES1:HELLO", CLEAN, rng=np.random.default_rng(0)).shape
(720, 1280)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import segno
from numpy.typing import NDArray

from hardware_sim.vision.optics import Grey, Light, see
from hardware_sim.vision.view_condition import (
    BANDED,
    BLURRED,
    CLEAN,
    CUT_OFF,
    DARK,
    GLARE,
    HARD,
    HOPELESS,
    LOW_LIGHT_JPEG,
    NOISY,
    OVEREXPOSED,
    PHONE_SCREEN,
    PRESETS,
    READABLE,
    SMALL,
    SMEARED,
    TILTED,
    UNREADABLE,
    UPSIDE_DOWN,
    ViewCondition,
)

__all__ = [
    "BANDED",
    "BLURRED",
    "CLEAN",
    "CUT_OFF",
    "DARK",
    "GLARE",
    "HARD",
    "HOPELESS",
    "LOW_LIGHT_JPEG",
    "NOISY",
    "OVEREXPOSED",
    "PHONE_SCREEN",
    "PRESETS",
    "READABLE",
    "SMALL",
    "SMEARED",
    "TILTED",
    "UNREADABLE",
    "UPSIDE_DOWN",
    "Picture",
    "ViewCondition",
    "draw",
    "empty",
    "modules",
    "render",
    "render_many",
]

Quad = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]

QUIET = 4  # white modules around a code (ISO/IEC 18004)
INK, PAPER, BEZEL = 25.0, 225.0, 12.0  # grey levels
LENS = 1.2  # focal length as a share of the frame's width: a view of about 45 degrees


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawn frame, and where its codes are."""

    grey: Grey  # (height, width)
    quads: tuple[Quad, ...]  # the corners of each code in pixels, in the order of the texts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    texture: Light
    matrix: NDArray[np.float64]  # texture pixels to frame pixels
    quad: Quad
    centre: tuple[float, float]
    size_px: float


def render(
    text: str | bytes,
    condition: ViewCondition,
    *,
    rng: np.random.Generator,
    width_px: int = 1280,
    height_px: int = 720,
) -> Grey:
    """Draw one frame showing ``text`` as a QR code of level M; (height, width) uint8.

    Raises ValueError when the code is larger than the frame at this ``px_per_module``.
    """
    return draw([(text, condition)], rng=rng, width_px=width_px, height_px=height_px).grey


def render_many(
    texts: Sequence[str | bytes],
    condition: ViewCondition,
    *,
    rng: np.random.Generator,
    width_px: int = 1280,
    height_px: int = 720,
) -> Grey:
    """Draw one frame showing several codes side by side. Raises ValueError when they do not fit."""
    codes = [(text, condition) for text in texts]
    return draw(codes, rng=rng, width_px=width_px, height_px=height_px).grey


def empty(
    condition: ViewCondition,
    *,
    rng: np.random.Generator,
    width_px: int = 1280,
    height_px: int = 720,
) -> Grey:
    """Draw a frame without a code."""
    return draw([], rng=rng, width_px=width_px, height_px=height_px, nothing=condition).grey


def draw(
    codes: Sequence[tuple[str | bytes, ViewCondition]],
    *,
    rng: np.random.Generator,
    width_px: int = 1280,
    height_px: int = 720,
    nothing: ViewCondition = CLEAN,
    behind: Light | None = None,
) -> Picture:
    """Draw codes, each in its own column, and return the frame and their corners.

    Lens and sensor are those of the first code's condition, or of ``nothing`` without codes;
    ``behind`` is the scene (see ``backdrop``), a fresh one by default.
    """
    seen_through = codes[0][1] if codes else nothing
    light = (
        backdrop(seen_through, rng=rng, width_px=width_px, height_px=height_px)
        if behind is None
        else behind
    )
    placed = [
        _place(text, condition, (column, len(codes)), rng, (width_px, height_px))
        for column, (text, condition) in enumerate(codes)
    ]
    for code in placed:
        light = _overlay(light, code)
    centre = placed[0].centre if placed else (width_px / 2, height_px / 2)
    size_px = placed[0].size_px if placed else height_px / 2
    return Picture(
        grey=see(light, seen_through, centre, size_px, rng),
        quads=tuple(code.quad for code in placed),
    )


def modules(text: str | bytes) -> NDArray[np.uint8]:
    """Return the code's modules without quiet zone: (n, n), 1 is dark.

    The level is M, the mode alphanumeric where the text allows.
    """
    content = text if isinstance(text, bytes) or text.isascii() else text.encode()
    code = segno.make_qr(content, error="m", boost_error=False)
    return np.array([list(row) for row in code.matrix], dtype=np.uint8)


def _place(
    text: str | bytes,
    condition: ViewCondition,
    column: tuple[int, int],
    rng: np.random.Generator,
    frame: tuple[int, int],
) -> _Placed:
    code = modules(text)
    texels = max(2, round(condition.px_per_module))  # about one a pixel, for linear sampling
    surface, (left, top) = (
        _phone(code, texels, condition) if condition.screen else _label(code, texels)
    )
    side = len(code) * texels
    size_px = len(code) * condition.px_per_module
    centre = _centre(condition, size_px, column, rng, frame)
    to_plane = np.diag([condition.px_per_module / texels, condition.px_per_module / texels, 1.0])
    to_plane[:2, 2] = (
        -np.array([left + side / 2, top + side / 2]) * condition.px_per_module / texels
    )
    matrix = _projection(condition, centre, frame[0]) @ to_plane
    corners = np.array(
        [[left, top], [left + side, top], [left + side, top + side], [left, top + side]], np.float64
    )
    quad = cv2.perspectiveTransform(corners[None], matrix)[0]
    a, b, c, d = ((float(x), float(y)) for x, y in quad)
    return _Placed(
        texture=surface, matrix=matrix, quad=(a, b, c, d), centre=centre, size_px=size_px
    )


def _centre(
    condition: ViewCondition,
    size_px: float,
    column: tuple[int, int],
    rng: np.random.Generator,
    frame: tuple[int, int],
) -> tuple[float, float]:
    width, height = frame[0] / column[1], frame[1]
    if size_px > min(width, height) and not condition.cut_off:
        raise ValueError(
            f"a code of {size_px:.0f} px does not fit into {width:.0f} x {height} px: "
            "lower px_per_module or show fewer codes"
        )
    if condition.position is not None:
        return condition.position[0] * frame[0], condition.position[1] * frame[1]
    if condition.cut_off:
        return (0.5 - condition.cut_off) * size_px, height / 2
    slack_x, slack_y = (0.3 * max(0.0, room - 1.25 * size_px) for room in (width, height))
    x = (column[0] + 0.5) * width + rng.uniform(-0.5, 0.5) * slack_x
    return x, height / 2 + rng.uniform(-0.5, 0.5) * slack_y


def _projection(
    condition: ViewCondition, centre: tuple[float, float], width_px: int
) -> NDArray[np.float64]:
    """Return the homography from a plane before a pinhole camera to the frame.

    The plane is in pixels around its centre.
    """
    tilt, pan, turn = (
        math.radians(a) for a in (condition.tilt_deg, condition.pan_deg, condition.rotation_deg)
    )
    about_x = np.array(
        [[1, 0, 0], [0, math.cos(tilt), -math.sin(tilt)], [0, math.sin(tilt), math.cos(tilt)]]
    )
    about_y = np.array(
        [[math.cos(pan), 0, math.sin(pan)], [0, 1, 0], [-math.sin(pan), 0, math.cos(pan)]]
    )
    about_z = np.array(
        [[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]]
    )
    turned = about_x @ about_y @ about_z
    focal = LENS * width_px  # also the distance of the plane, so that its centre keeps its scale
    camera = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    matrix: NDArray[np.float64] = camera @ np.column_stack(
        [turned[:, 0], turned[:, 1], [0, 0, focal]]
    )
    return matrix


def _label(code: NDArray[np.uint8], texels: int) -> tuple[Light, tuple[int, int]]:
    """Return a printed label, and the texel at which the code begins."""
    ink = np.kron(np.pad(code, QUIET), np.ones((texels, texels), np.uint8))
    return np.where(ink, np.float32(INK), np.float32(PAPER)), (QUIET * texels, QUIET * texels)


def _phone(
    code: NDArray[np.uint8], texels: int, condition: ViewCondition
) -> tuple[Light, tuple[int, int]]:
    """Return a phone with the code on a page of text, and the texel at which the code begins.

    The screen is a little brighter than paper.
    """
    page, _ = _label(code, texels)
    side = len(page)
    bezel, margin = side // 16, side // 20
    width, height = side + 2 * (bezel + margin), round(1.9 * side)
    body = np.full((height, width), BEZEL, np.float32)
    body[2 * bezel : height - 2 * bezel, bezel : width - bezel] = PAPER
    top, left = (height - side) // 2, bezel + margin
    line = max(2, side // 40)
    for row in range(2 * bezel + 3 * line, top - 2 * line, 3 * line):  # lines above the code
        body[row : row + line, left + side // 8 : width - left - side // (3 + row % 5)] = 90
    body[top : top + side, left : left + side] = page
    grid = 1 - condition.pixel_grid * (
        0.5 + 0.5 * np.cos(2 * np.pi * np.arange(max(height, width)) / 2.3)
    )
    body *= (grid[:height, None] * grid[None, :width]).astype(np.float32) * 1.06
    return body, (left + QUIET * texels, top + QUIET * texels)


def _overlay(light: Light, code: _Placed) -> Light:
    """Draw a flat surface into the scene, in perspective."""
    size = (light.shape[1], light.shape[0])
    seen = cv2.warpPerspective(code.texture, code.matrix, size, flags=cv2.INTER_LINEAR)
    cover = cv2.warpPerspective(
        np.ones_like(code.texture), code.matrix, size, flags=cv2.INTER_LINEAR
    )
    # Outside its border the surface is 0; inside, cover is 1.
    covered: Light = light * (1 - cover) + seen
    return covered


def backdrop(
    condition: ViewCondition,
    *,
    rng: np.random.Generator,
    width_px: int = 1280,
    height_px: int = 720,
) -> Light:
    """Draw the background: soft shapes, and objects with hard edges (shelves, labels, text)."""
    coarse = rng.normal(condition.background, 35 * condition.clutter, (6, 10)).astype(np.float32)
    soft = cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    scene = np.clip(soft, 5, 250).astype(np.uint8)
    for _ in range(round(40 * condition.clutter)):
        x, y = int(rng.integers(0, width_px)), int(rng.integers(0, height_px))
        grey = float(np.clip(rng.normal(condition.background, 60), 5, 250))
        extent = rng.integers(8, max(9, height_px // 5), 2)
        match int(rng.integers(0, 3)):
            case 0:
                cv2.rectangle(scene, (x, y), (x + int(extent[0]), y + int(extent[1])), grey, -1)
            case 1:
                cv2.line(
                    scene,
                    (x, y),
                    (x + int(extent[0]) * 3, y - int(extent[1])),
                    grey,
                    3,
                    cv2.LINE_AA,
                )
            case _:
                cv2.putText(
                    scene,
                    "PICKUP 24/7",
                    (x, y),
                    cv2.FONT_HERSHEY_SIMPLEX,
                    float(extent[0]) / 60,
                    grey,
                    2,
                )
    return np.asarray(scene, dtype=np.float32)
