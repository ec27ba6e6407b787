"""Errors and erasures are repaired as far as the code allows, and no further."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.decode.qr.reed_solomon import correct, syndromes
from edge.decode.qr.symbol_layout import blocks, layout, mask
from tests.support.drawn_codes import matrix


def codeword(version, level):
    modules, code = matrix("CODE", version=version, error=level.lower())
    plan = layout(version)
    words = np.packbits(modules[tuple(plan.bits)] ^ mask(code.mask, plan.size)[tuple(plan.bits)])
    parts = blocks(version, level)
    return words[parts.places[0]], parts.checks


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_twice_the_errors_plus_the_erasures_may_be_as_many_as_the_checks(data):
    word, checks = codeword(
        *data.draw(st.sampled_from([(1, "H"), (3, "M"), (5, "L"), (9, "M"), (20, "Q")]))
    )
    erased = data.draw(st.integers(0, checks))
    errors = data.draw(st.integers(0, (checks - erased) // 2))
    places = data.draw(st.permutations(range(len(word))))[: erased + errors]
    broken = word.copy()
    for place in places:
        broken[place] ^= data.draw(st.integers(1, 255))
    repaired = correct(broken, checks, places[:erased])
    assert repaired is not None
    assert (repaired == word).all()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_repaired_word_is_always_a_codeword(data):
    checks = data.draw(st.integers(2, 30))
    word = np.array(
        data.draw(st.lists(st.integers(0, 255), min_size=checks + 1, max_size=150)), np.uint8
    )
    erasures = data.draw(st.lists(st.integers(0, len(word) - 1), max_size=checks, unique=True))
    repaired = correct(word, checks, erasures)
    assert repaired is None or not any(syndromes(repaired, checks))


def test_a_word_of_zeros_is_a_codeword():
    assert not any(syndromes(np.zeros(44, np.uint8), 18))
