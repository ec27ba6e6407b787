"""From soft modules to a mended matrix: format, codewords, erasures, and the evidence that the result is no chance.

The least sure codewords of a block are erased first a few, then more, until the block can be mended
(Forney's generalised minimum distance decoding). Erasing spends redundancy that also guards against a wrong
result, so the redundancy left over is counted in bits, and a result with too little of it is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.decode.qr.reed_solomon import correct
from edge.decode.qr.symbol_layout import (
    LEVELS,
    UNKNOWN,
    blocks,
    format_cells,
    format_words,
    layout,
    mask,
)

_EVIDENCE_BITS = 26.0  # a random matrix passes less than once in 2^26 tries
_RUNNER_UP = 0.75  # a second format word is tried when it fits nearly as well as the best


@dataclass(frozen=True, slots=True)
class RepairedMatrix:
    """A matrix every block of which is a codeword: (n, n), 1 is dark; and how sure that is."""

    modules: NDArray[np.uint8]
    evidence_bits: float  # a matrix of noise would pass with odds of one to two to this power


def repair(soft: NDArray[np.float32], version: int) -> RepairedMatrix | None:
    """Return the matrix that ``soft`` (n, n; positive is dark) shows, or None when it cannot be told."""
    for form in _formats(soft):
        if mended := _mend_as(soft, version, form):
            return mended
    return None


def _formats(soft: NDArray[np.float32]) -> list[int]:
    """The likeliest format words by both their copies, best first."""
    cells = format_cells(len(soft))
    seen = np.clip(soft[cells[..., 0], cells[..., 1]], -1, 1).sum(axis=0)
    scores = (2 * format_words().astype(np.float32) - 1) @ seen
    best = np.argsort(-scores)[:2]
    return [int(form) for form in best if scores[form] >= _RUNNER_UP * scores[best[0]]]


def _mend_as(soft: NDArray[np.float32], version: int, form: int) -> RepairedMatrix | None:
    plan = layout(version)
    cells = tuple(plan.bits)
    unmasked = np.where(mask(form & 7, plan.size)[cells], -soft[cells], soft[cells]).reshape(-1, 8)
    words = np.packbits(unmasked > 0, axis=1)[:, 0]
    sureness = np.abs(unmasked).min(axis=1)
    interleaved = blocks(version, LEVELS[form >> 3])
    evidence_bits = 0.0
    for places in interleaved.places:
        found = _mend_block(words[places], sureness[places], interleaved.checks)
        if found is None:
            return None
        words[places] = found[0]
        evidence_bits += found[1]
    if evidence_bits < _EVIDENCE_BITS:
        return None
    return RepairedMatrix(_matrix(version, form, words), evidence_bits)


def _mend_block(
    words: NDArray[np.uint8], sureness: NDArray[np.float32], checks: int
) -> tuple[NDArray[np.uint8], float] | None:
    """Return the block mended and the bits of evidence for it."""
    doubtful = [int(index) for index in np.argsort(sureness)]
    for erased in range(0, checks - 3, 2 if checks < 20 else 4):
        mended = correct(words, checks, doubtful[:erased])
        if mended is not None:
            return mended, _evidence_bits(words, mended, checks, doubtful[:erased])
    return None


def _evidence_bits(
    words: NDArray[np.uint8], mended: NDArray[np.uint8], checks: int, erasures: list[int]
) -> float:
    """How unlikely it is that noise came this close to a codeword: minus log2 of the odds."""
    changed = words != mended
    changed[erasures] = False
    errors = int(changed.sum())
    ways = math.comb(len(words) - len(erasures), errors)
    return 8 * (checks - len(erasures) - errors) - math.log2(ways)


def _matrix(version: int, form: int, words: NDArray[np.uint8]) -> NDArray[np.uint8]:
    plan = layout(version)
    modules = np.where(plan.known == UNKNOWN, 0, plan.known).astype(np.uint8)
    cells = format_cells(plan.size)
    is_data = plan.known == UNKNOWN
    is_data[cells[..., 0], cells[..., 1]] = False
    modules[tuple(plan.bits)] = np.unpackbits(words)
    modules ^= (is_data & mask(form & 7, plan.size)).astype(np.uint8)
    modules[cells[..., 0], cells[..., 1]] = format_words()[form]
    return modules
