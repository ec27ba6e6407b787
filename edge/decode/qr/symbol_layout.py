"""Layout of a QR code of ISO/IEC 18004 (model 2): patterns, format, codewords, blocks.

Pure tables and the functions that unfold them. Matrices are (n, n), row first, 1 is dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
LEVELS = "MLHQ"  # by the two bits of the format information (table 12)

# Table 9: error correction codewords a block, and blocks, by level and version 1 to 40.
_CHECKS = {
    "L": "7 10 15 20 26 18 20 24 30 18 20 24 26 30 22 24 28 30 28 28 "
    "28 28 30 30 26 28 30 30 30 30 30 30 30 30 30 30 30 30 30 30",
    "M": "10 16 26 18 24 16 18 22 22 26 30 22 22 24 24 28 28 26 26 26 "
    "26 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28",
    "Q": "13 22 18 26 18 24 18 22 20 24 28 26 24 20 30 24 28 28 26 30 "
    "28 30 30 30 30 28 30 30 30 30 30 30 30 30 30 30 30 30 30 30",
    "H": "17 28 22 16 22 28 26 26 24 28 24 28 22 24 24 30 28 28 26 28 "
    "30 24 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30",
}
_BLOCKS = {
    "L": "1 1 1 1 1 2 2 2 2 4 4 4 4 4 6 6 6 6 7 8 "
    "8 9 9 10 12 12 12 13 14 15 16 17 18 19 19 20 21 22 24 25",
    "M": "1 1 1 2 2 4 4 4 5 5 5 8 9 9 10 10 11 13 14 16 "
    "17 17 18 20 21 23 25 26 28 29 31 33 35 37 38 40 43 45 47 49",
    "Q": "1 1 2 2 4 4 6 6 8 8 8 10 12 16 12 17 16 18 21 20 "
    "23 23 25 27 29 34 34 35 38 40 43 45 48 51 53 56 59 62 65 68",
    "H": "1 1 2 4 4 4 5 6 8 8 11 11 16 16 18 16 19 21 25 25 "
    "25 34 30 32 35 37 40 42 45 48 51 54 57 60 63 66 70 74 77 81",
}


@dataclass(frozen=True, slots=True)
class SymbolLayout:
    """Matrix of one version. ``known``: the fixed patterns; UNKNOWN for data and format."""

    version: int
    size: int  # modules a side
    known: NDArray[np.int8]
    bits: NDArray[np.intp]  # (2, count): row and column of each data bit, in reading order


@cache
def layout(version: int) -> SymbolLayout:
    """Return the layout of ``version``, 1 to 40."""
    size = 17 + 4 * version
    known = np.full((size, size), UNKNOWN, np.int8)
    known[6, :] = known[:, 6] = np.arange(size) % 2 == 0
    for row, column in _alignment_centres(version):
        known[row - 2 : row + 3, column - 2 : column + 3] = _rings(2)
    for row, column in ((3, 3), (3, size - 4), (size - 4, 3)):
        top, left = max(0, row - 4), max(0, column - 4)
        rings = np.pad(_rings(3), 1)  # with its separator
        patch = known[top : row + 5, left : column + 5]
        patch[...] = rings[top - row + 4 :, left - column + 4 :][: patch.shape[0], : patch.shape[1]]
    known[size - 8, 8] = 1
    if version >= 7:
        word = _version_word(version)
        fields = np.array([word >> bit & 1 for bit in range(18)], np.int8).reshape(6, 3)
        known[:6, size - 11 : size - 8] = fields
        known[size - 11 : size - 8, :6] = fields.T
    return SymbolLayout(version, size, known, _zigzag(known, size))


def format_cells(size: int) -> NDArray[np.intp]:
    """Return the cells of the format information (figure 25).

    Shape (2 copies, 15 bits, row and column), least significant bit first.
    """
    column = [0, 1, 2, 3, 4, 5, 7, 8]
    first = [(row, 8) for row in column] + [(8, at) for at in (7, 5, 4, 3, 2, 1, 0)]
    second = [(8, size - 1 - at) for at in range(8)] + [(size - 7 + at, 8) for at in range(7)]
    return np.array([first, second], np.intp)


@cache
def format_words() -> NDArray[np.int8]:
    """Return the 32 masked format words as (32, 15) bits, least significant first (annex C)."""
    words = []
    for data in range(32):
        rest = data << 10
        for bit in range(14, 9, -1):
            if rest >> bit & 1:
                rest ^= 0b10100110111 << (bit - 10)
        word = (data << 10 | rest) ^ 0b101010000010010
        words.append([word >> bit & 1 for bit in range(15)])
    return np.array(words, np.int8)


@cache
def mask(pattern: int, size: int) -> NDArray[np.bool_]:
    """Return data mask 0 to 7 over a matrix (table 10): true where a module is inverted."""
    i, j = np.indices((size, size))
    rules = (
        (i + j) % 2,
        i % 2,
        j % 3,
        (i + j) % 3,
        (i // 2 + j // 3) % 2,
        i * j % 2 + i * j % 3,
        (i * j % 2 + i * j % 3) % 2,
        ((i + j) % 2 + i * j % 3) % 2,
    )
    return np.asarray(rules[pattern] == 0)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Interleaving of codewords."""

    checks: int  # error correction codewords a block
    places: tuple[NDArray[np.intp], ...]  # by block: indices in the stream, data then checks


@cache
def blocks(version: int, level: str) -> Blocks:
    """Return the interleaving of a version and a level of "LMQH" (7.6)."""
    checks, count = (
        int(_CHECKS[level].split()[version - 1]),
        int(_BLOCKS[level].split()[version - 1]),
    )
    total = layout(version).bits.shape[1] // 8
    short = total // count - checks  # data codewords of a short block; the last ones have one more
    longer = total % count
    data_total = total - count * checks
    places = []
    for block in range(count):
        data = [at * count + block for at in range(short)]
        if block >= count - longer:
            data.append(short * count + block - (count - longer))
        places.append(
            np.array(data + [data_total + at * count + block for at in range(checks)], np.intp)
        )
    return Blocks(checks, tuple(places))


def _alignment_centres(version: int) -> list[tuple[int, int]]:
    if version == 1:
        return []
    count, last = version // 7 + 2, 10 + 4 * version
    step = 26 if version == 32 else (version * 4 + count * 2 + 1) // (count * 2 - 2) * 2
    at = [6, *sorted(last - step * back for back in range(count - 1))]
    corners = {(6, 6), (6, last), (last, 6)}
    return [(row, column) for row in at for column in at if (row, column) not in corners]


def _rings(radius: int) -> NDArray[np.int8]:
    away = np.maximum(*np.abs(np.indices((2 * radius + 1, 2 * radius + 1)) - radius))
    return (
        np.asarray(away != radius - 1, np.int8) if radius == 3 else np.asarray(away != 1, np.int8)
    )


def _version_word(version: int) -> int:
    """Return the 18 bits of the version information (annex D)."""
    rest = version << 12
    for bit in range(17, 11, -1):
        if rest >> bit & 1:
            rest ^= 0b1111100100101 << (bit - 12)
    return version << 12 | rest


def _zigzag(known: NDArray[np.int8], size: int) -> NDArray[np.intp]:
    free = known == UNKNOWN
    for row, column in format_cells(size).reshape(-1, 2):
        free[row, column] = False
    cells: list[tuple[int, int]] = []
    right = [column for column in range(size - 1, 0, -2) if column > 6] + [5, 3, 1]
    for turn, column in enumerate(right):
        rows = range(size - 1, -1, -1) if turn % 2 == 0 else range(size)
        cells += [(row, at) for row in rows for at in (column, column - 1) if free[row, at]]
    count = len(cells) // 8 * 8
    return np.array(cells[:count], np.intp).T
