"""From soft modules to a matrix: repaired with strong evidence, rejected with weak evidence."""

import numpy as np
import pytest

from edge.decode.qr.codewords import repair
from edge.decode.qr.symbol_layout import layout
from tests.support.drawn_codes import TOKEN, matrix


def soft_of(content, **options):
    modules, code = matrix(content, **options)
    return np.where(modules, 1.0, -1.0).astype(np.float32), modules, int(code.version)


@pytest.mark.parametrize("content", ["1", "HELLO WORLD", "größe", TOKEN, "x" * 900])
def test_a_clean_code_is_unchanged_by_repair(content):
    soft, modules, version = soft_of(content)
    repaired = repair(soft, version)
    assert (repaired.modules == modules).all()
    assert repaired.evidence_bits > 60


def test_uncertain_modules_cost_half_as_much_as_wrong_ones():
    """A decoder without erasures cannot repair this stretch: wrong, but known to be uncertain."""
    soft, modules, version = soft_of("HTTPS://EXAMPLE.COM/PICKUP/12345", version=3)
    rng = np.random.default_rng(1)
    soft[15:20, 9:27] = rng.normal(0, 0.05, (5, 18))
    assert (repair(soft, version).modules == modules).all()
    assert repair(np.sign(soft).astype(np.float32), version) is None


def test_noise_is_never_repaired():
    rng = np.random.default_rng(2)
    for version in (1, 2, 3, 4, 7, 9):
        size = layout(version).size
        assert all(
            repair(rng.normal(0, 0.7, (size, size)).astype(np.float32), version) is None
            for _ in range(150)
        )


def test_a_repaired_block_with_too_little_evidence_is_rejected():
    """Version 1 L has seven checks: three repairs leave too little redundancy as evidence."""
    soft, _, version = soft_of("TEST", version=1, error="l")
    plan = layout(version)
    for word in (0, 5, 11):
        row, column = plan.bits[:, 8 * word]
        soft[row, column] *= -1
    assert repair(soft, version) is None


def test_two_wrong_codewords_of_version_1_l_are_repaired():
    soft, modules, version = soft_of("TEST", version=1, error="l")
    plan = layout(version)
    for word in (0, 5):
        row, column = plan.bits[:, 8 * word]
        soft[row, column] *= -1
    assert (repair(soft, version).modules == modules).all()
