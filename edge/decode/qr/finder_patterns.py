"""Location of codes by their finder patterns: nested contours, then triples at a code's corners.

Line scans (as in zxing-cpp and zbar) lose a finder pattern that is strongly slanted or creased.
Here each one is a dark square in a light square in a dark square, at any slant. Its corners, not
only its centre, then give the code's perspective.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode.qr.quad import as_quad
from edge.decode.qr.symbol_layout import UNKNOWN, layout
from edge.decode.qr.zxing import LocatedSymbol

Points = NDArray[np.float64]
Contour = NDArray[Any]

_MOST_CONTOURS = 6000  # more is noise, in which nesting has no meaning
_MOST_FINDERS = 24  # the largest; only a page of small print shows more
_MOST_TRIPLES = 8
_MOST_PAIRED = 5
_STRAIGHT = 0.9  # cosine between a finder pattern's side and the code's axis
_SMALLEST_CORE_PX = 6  # area; below it a contour is noise
_LEAST_AGREEMENT = 0.45  # of the fixed patterns with the picture: 1 wholly, 0 by chance
# A finder pattern's corners in modules.
_SQUARE: Points = np.array([[0, 0], [7, 0], [7, 7], [0, 7]], np.float64)


@dataclass(frozen=True, slots=True)
class FinderPattern:
    """One finder pattern in pixels."""

    centre: Points  # (2,)
    corners: Points  # (4, 2), clockwise
    module_px: float


def locate(
    binary: NDArray[np.uint8], parts: list[FinderPattern] | None = None
) -> list[LocatedSymbol]:
    """Return where codes seem to be in a black and white picture (0 or 255), most probable first.

    ``parts``: its finder patterns, where they are known already.
    """
    found = sorted(
        finders(binary) if parts is None else parts, key=lambda finder: -finder.module_px
    )[:_MOST_FINDERS]
    triples = [triple for pivot in found for triple in _corners_at(pivot, found)]
    triples.sort(key=lambda triple: triple.strain)
    scored = [guess for triple in triples[:_MOST_TRIPLES] for guess in _versions(triple, binary)]
    scored.sort(key=lambda guess: -guess[0])
    return [located for agreement, located in scored if agreement >= _LEAST_AGREEMENT]


def locate_by_two(
    binary: NDArray[np.uint8], parts: list[FinderPattern] | None = None
) -> list[LocatedSymbol]:
    """Return where codes seem to be that show only two finder patterns, most probable first."""
    found = sorted(
        finders(binary) if parts is None else parts, key=lambda finder: -finder.module_px
    )[:_MOST_PAIRED]
    pairs = [pair for one, two in permutations(found, 2) for pair in _pairs(one, two)]
    scored = [guess for pair in pairs for guess in _versions(pair, binary)]
    scored.sort(key=lambda guess: -guess[0])
    return [located for agreement, located in scored if agreement >= _LEAST_AGREEMENT][
        :_MOST_TRIPLES
    ]


def finders(binary: NDArray[np.uint8]) -> list[FinderPattern]:
    """Return every dark square in a light square in a dark square, of about 3, 5 and 7 modules."""
    contours: Any  # OpenCV's stubs do not have the type of what it returns
    contours, tree = cv2.findContours(255 - binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if tree is None or len(contours) > _MOST_CONTOURS:
        return []
    hole = parent = tree[0, :, 3]
    ring = np.where(hole >= 0, parent[hole], -1)
    cores = [
        core
        for core in np.flatnonzero(ring >= 0)
        if cv2.contourArea(contours[core]) >= _SMALLEST_CORE_PX
    ]
    found = (_finder(contours[core], contours[hole[core]], contours[ring[core]]) for core in cores)
    return [finder for finder in found if finder is not None]


def _finder(core: Contour, hole: Contour, ring: Contour) -> FinderPattern | None:
    inner, middle, outer = cv2.contourArea(core), cv2.contourArea(hole), cv2.contourArea(ring)
    if not (1.4 < middle / inner < 5.5 and 1.25 < outer / middle < 3.8 and outer < 12 * inner):
        return None  # ideally 25/9 and 49/25; blur and bled ink shift both
    side = outer**0.5
    centre = _centroid(core)
    if (
        max(np.abs(_centroid(hole) - centre).max(), np.abs(_centroid(ring) - centre).max())
        > 0.13 * side
    ):
        return None
    return FinderPattern(centre, _four_corners(ring), side / 7)


def _centroid(contour: Contour) -> Points:
    moments = cv2.moments(contour)
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"]


def _four_corners(ring: Contour) -> Points:
    """Return the corners of a ring, clockwise; those of its box where it is no quadrilateral."""
    hull = cv2.convexHull(ring)
    length = cv2.arcLength(hull, True)
    corners = cv2.boxPoints(cv2.minAreaRect(hull))
    for slack in (0.04, 0.06, 0.08, 0.1, 0.13):
        simple = cv2.approxPolyDP(hull, slack * length, True)[:, 0, :]
        if len(simple) == 4 and cv2.contourArea(simple) > 0.75 * cv2.contourArea(hull):
            corners = simple.astype(np.float32)
            break
    clockwise = cv2.contourArea(corners, oriented=True) > 0
    return np.asarray(corners if clockwise else corners[::-1], np.float64)


@dataclass(frozen=True, slots=True)
class _Group:
    """Two or three finder patterns, each at its corner of a code."""

    roles: tuple[int, ...]  # 0 top left, 1 top right, 2 bottom left
    corners: Points  # (2 or 3, 4, 2), in the code's order
    centres: Points  # (2 or 3, 2)
    spacing: float  # modules between the centres
    strain: float  # how far from a square code seen straight on


def _corners_at(pivot: FinderPattern, found: list[FinderPattern]) -> list[_Group]:
    others = [f for f in found if f is not pivot and 1 / 2.2 < f.module_px / pivot.module_px < 2.2]
    triples = (_triple(pivot, one, two) for one, two in combinations(others, 2))
    return [triple for triple in triples if triple is not None]


def _triple(pivot: FinderPattern, one: FinderPattern, two: FinderPattern) -> _Group | None:
    to_one, to_two = one.centre - pivot.centre, two.centre - pivot.centre
    if to_one[0] * to_two[1] < to_one[1] * to_two[0]:
        # y grows downwards: the top right corner comes first, clockwise.
        one, two, to_one, to_two = two, one, to_two, to_one
    far_x, far_y = float(np.hypot(*to_one)), float(np.hypot(*to_two))
    if min(far_x, far_y) < 7 * pivot.module_px:
        return None
    axes = to_one / far_x, to_two / far_y
    leaning = abs(float(axes[0] @ axes[1]))
    if leaning > 0.85:
        return None
    corners = np.stack([_in_order(finder.corners, *axes) for finder in (pivot, one, two)])
    # Pixels a module, across and down.
    top = np.hypot(*(corners[:, 1] + corners[:, 2] - corners[:, 0] - corners[:, 3]).T) / 14
    left = np.hypot(*(corners[:, 2] + corners[:, 3] - corners[:, 0] - corners[:, 1]).T) / 14
    across, down = far_x / ((top[0] + top[1]) / 2), far_y / ((left[0] + left[2]) / 2)
    if not 11 < (across + down) / 2 < 180 or max(across, down) > 1.6 * min(across, down):
        return None
    spacing = (across + down) / 2
    centres = np.stack([pivot.centre, one.centre, two.centre])
    return _Group(
        (0, 1, 2), corners, centres, spacing, abs(across - down) / spacing + 0.3 * leaning
    )


def _in_order(corners: Points, across: Points, down: Points) -> Points:
    """Return the corners from the top left, where ``across`` and ``down`` are the code's axes."""
    turns = [np.roll(corners, -turn, axis=0) for turn in range(4)]
    return max(
        turns,
        key=lambda c: float(
            (c[1] + c[2] - c[0] - c[3]) @ across + (c[2] + c[3] - c[0] - c[1]) @ down
        ),
    )


def _versions(group: _Group, binary: NDArray[np.uint8]) -> list[tuple[float, LocatedSymbol]]:
    """Return the two most probable versions of a group, with their agreement with the picture."""
    near = (group.spacing - 10) / 4
    guesses = []
    for version in range(max(1, int(near) - 1), min(40, int(near) + 2) + 1):
        size = 17 + 4 * version
        matrix = _fit(group, size)
        whole = np.array([[[0, 0], [size, 0], [size, size], [0, size]]], np.float64)
        # Contours run through pixel centres.
        quad = cv2.perspectiveTransform(whole, matrix)[0] + 0.5
        if np.abs(quad).max() < 4 * max(binary.shape):
            located = LocatedSymbol(as_quad(quad), version)
            guesses.append((_agreement(binary, matrix, version), located))
    return sorted(guesses, key=lambda guess: -guess[0])[:2]


def _fit(group: _Group, size: int) -> Points:
    """Return the map from modules to pixels (3, 3): projective from three patterns, else affine."""
    shift = np.array([[0, 0], [size - 7, 0], [0, size - 7]], np.float64)[list(group.roles)]
    plane = np.vstack([(shift[:, None] + _SQUARE).reshape(-1, 2), shift + 3.5])
    picture = np.vstack([group.corners.reshape(-1, 2), group.centres])
    if len(group.roles) == 3:
        matrix, _ = cv2.findHomography(plane, picture)
        if matrix is not None:
            return np.asarray(matrix, np.float64)
    terms = np.column_stack([plane, np.ones(len(plane))])
    affine = np.linalg.lstsq(terms, picture, rcond=None)[0].T
    return np.vstack([affine, [0, 0, 1]])


def _pairs(one: FinderPattern, two: FinderPattern) -> list[_Group]:
    """Return the codes that two patterns may belong to.

    In this order they are top left and top right, top left and bottom left, or top right and
    bottom left.
    """
    apart = two.centre - one.centre
    distance = float(np.hypot(*apart))
    module_px = (one.module_px + two.module_px) / 2
    if distance < 14 * module_px or max(one.module_px, two.module_px) > 1.4 * min(
        one.module_px, two.module_px
    ):
        return []
    x, y = apart / distance
    groups = []
    for roles, across, stretch in (
        ((0, 1), (x, y), 1.0),
        ((0, 2), (y, -x), 1.0),
        ((1, 2), ((y - x) / 2**0.5, -(x + y) / 2**0.5), 2**0.5),
    ):
        down = np.array([-across[1], across[0]])
        corners = np.stack(
            [_in_order(finder.corners, np.array(across), down) for finder in (one, two)]
        )
        sides = corners[:, 1] + corners[:, 2] - corners[:, 0] - corners[:, 3]
        if min(sides @ across / np.hypot(*sides.T)) > _STRAIGHT:
            spacing = distance / stretch / module_px
            groups.append(_Group(roles, corners, np.stack([one.centre, two.centre]), spacing, 0.0))
    return groups


def _agreement(binary: NDArray[np.uint8], matrix: Points, version: int) -> float:
    known = layout(version).known
    rows, columns = np.nonzero(known != UNKNOWN)
    cells = np.stack([columns, rows], axis=-1).astype(np.float64)[None] + 0.5
    x, y = np.rint(cv2.perspectiveTransform(cells, matrix)[0]).astype(np.intp).T
    inside = (x >= 0) & (y >= 0) & (x < binary.shape[1]) & (y < binary.shape[0])
    dark = binary[np.where(inside, y, 0), np.where(inside, x, 0)] == 0
    return float(np.mean(np.where(inside, (dark == known[rows, columns]) * 2.0 - 1, 0)))
