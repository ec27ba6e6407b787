"""From soft modules to a repaired matrix: format, codewords, erasures, and the evidence for it.

Of the least certain codewords of a block, first a few are erased, then more, until the block can be
repaired (Forney's generalised minimum distance decoding). Erasing spends redundancy that also
guards against a wrong result. So the redundancy that is left is counted in bits, and a result with
too little of it is rejected.
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
    """A matrix (n, n; 1 is dark) of which every block is a codeword, and how certain it is."""

    modules: NDArray[np.uint8]
    evidence_bits: float  # a matrix of noise would pass once in two to this power


def repair(soft: NDArray[np.float32], version: int) -> RepairedMatrix | None:
    """Return the matrix that ``soft`` (n, n; positive is dark) shows; None when it is unclear."""
    for form in _formats(soft):
        if repaired := _repair_as(soft, version, form):
            return repaired
    return None


def _formats(soft: NDArray[np.float32]) -> list[int]:
    """Return the most probable format words by both their copies, best first."""
    cells = format_cells(len(soft))
    seen = np.clip(soft[cells[..., 0], cells[..., 1]], -1, 1).sum(axis=0)
    scores = (2 * format_words().astype(np.float32) - 1) @ seen
    best = np.argsort(-scores)[:2]
    return [int(form) for form in best if scores[form] >= _RUNNER_UP * scores[best[0]]]


def _repair_as(soft: NDArray[np.float32], version: int, form: int) -> RepairedMatrix | None:
    plan = layout(version)
    cells = tuple(plan.bits)
    unmasked = np.where(mask(form & 7, plan.size)[cells], -soft[cells], soft[cells]).reshape(-1, 8)
    words = np.packbits(unmasked > 0, axis=1)[:, 0]
    certainty = np.abs(unmasked).min(axis=1)
    interleaved = blocks(version, LEVELS[form >> 3])
    evidence_bits = 0.0
    for places in interleaved.places:
        repaired = _repair_block(words[places], certainty[places], interleaved.checks)
        if repaired is None:
            return None
        words[places] = repaired[0]
        evidence_bits += repaired[1]
    if evidence_bits < _EVIDENCE_BITS:
        return None
    return RepairedMatrix(_matrix(version, form, words), evidence_bits)


def _repair_block(
    words: NDArray[np.uint8], certainty: NDArray[np.float32], checks: int
) -> tuple[NDArray[np.uint8], float] | None:
    """Return the repaired block and the bits of evidence for it."""
    doubtful = [int(index) for index in np.argsort(certainty)]
    for erased in range(0, checks - 3, 2 if checks < 20 else 4):
        repaired = correct(words, checks, doubtful[:erased])
        if repaired is not None:
            return repaired, _evidence_bits(words, repaired, checks, doubtful[:erased])
    return None


def _evidence_bits(
    words: NDArray[np.uint8], repaired: NDArray[np.uint8], checks: int, erasures: list[int]
) -> float:
    """Return minus log2 of the odds that noise comes this close to a codeword."""
    changed = words != repaired
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
