"""Quads: the four corners of a code in pixels, in order round it, from its top left if known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Point: TypeAlias = tuple[float, float]
Quad: TypeAlias = tuple[Point, Point, Point, Point]


def as_quad(points: Iterable[Iterable[float]]) -> Quad:
    """Return four (x, y) pairs as a quad of plain floats."""
    a, b, c, d = ((float(x), float(y)) for x, y in points)
    return a, b, c, d


def centre(quad: Quad) -> Point:
    """Return the mean of the corners."""
    return sum(x for x, _ in quad) / 4, sum(y for _, y in quad) / 4


def array(quad: Quad) -> NDArray[np.float32]:
    """Return the corners as an array of shape (4, 2)."""
    return np.asarray(quad, dtype=np.float32)


def scaled(quad: Quad, factor: float, dx: float = 0.0, dy: float = 0.0) -> Quad:
    """Return the quad with each corner times ``factor`` plus (dx, dy)."""
    return as_quad((x * factor + dx, y * factor + dy) for x, y in quad)


def contains(quad: Quad, point: Point) -> bool:
    """Return whether ``point`` lies inside the (convex) quad, on either sense of rotation."""
    px, py = point
    sides = [
        (bx - ax) * (py - ay) - (by - ay) * (px - ax)
        for (ax, ay), (bx, by) in zip(quad, (*quad[1:], quad[0]), strict=True)
    ]
    return all(side >= 0 for side in sides) or all(side <= 0 for side in sides)


def box(quad: Quad) -> tuple[float, float, float, float]:
    """Return (left, top, right, bottom)."""
    xs, ys = zip(*quad, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def side_px(quad: Quad) -> float:
    """Return the mean length of the four sides."""
    corners = array(quad)
    edges = np.roll(corners, -1, axis=0) - corners
    return float(np.hypot(edges[:, 0], edges[:, 1]).mean())


def is_plausible(quad: Quad) -> bool:
    """Return whether the quad is convex, not a sliver and not smaller than any readable code."""
    corners = array(quad)
    edges = np.roll(corners, -1, axis=0) - corners
    turns = edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1)
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    convex = bool(np.all(turns > 0) or np.all(turns < 0))
    return convex and bool(lengths.min() >= 14) and bool(lengths.max() <= 6 * lengths.min())
