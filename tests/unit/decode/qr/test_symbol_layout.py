"""The tables of ISO/IEC 18004, compared with codes that segno makes."""

import numpy as np
import pytest
import segno

from edge.decode.qr.reed_solomon import syndromes
from edge.decode.qr.symbol_layout import (
    LEVELS,
    UNKNOWN,
    blocks,
    format_cells,
    format_words,
    layout,
    mask,
)


@pytest.mark.parametrize("version", range(1, 41))
def test_every_version_has_the_patterns_masks_and_blocks_of_the_standard(version):
    plan = layout(version)
    for number, level in enumerate("LMQH"):
        pattern = (version + number) % 8
        code = segno.make(
            "A1", version=version, error=level.lower(), boost_error=False, mask=pattern
        )
        modules = np.array([list(row) for row in code.matrix], np.uint8)
        fixed = plan.known != UNKNOWN
        assert (modules[fixed] == plan.known[fixed]).all()
        for cells in format_cells(plan.size):
            (form,) = np.flatnonzero((format_words() == modules[tuple(cells.T)]).all(axis=1))
            assert (LEVELS[form >> 3], form & 7) == (level, pattern)
        bits = modules[tuple(plan.bits)] ^ mask(pattern, plan.size)[tuple(plan.bits)]
        words = np.packbits(bits)
        interleaved = blocks(version, level)
        assert sorted(np.concatenate(interleaved.places)) == list(range(len(words)))
        for places in interleaved.places:
            assert not any(syndromes(words[places], interleaved.checks))
