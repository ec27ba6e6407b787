"""Reed-Solomon decoding over GF(256) as QR codes use it, with erasures.

A block with ``checks`` check codewords can be repaired when twice its errors plus its erasures are
at most ``checks``. zxing-cpp and zbar use no erasures; soft decisions on modules make them useful.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

_PRIMITIVE = 0x11D  # x^8 + x^4 + x^3 + x^2 + 1 (ISO/IEC 18004, 7.5.2)


def _tables() -> tuple[list[int], list[int]]:
    exp, log, value = [0] * 512, [0] * 256, 1
    for power in range(255):
        exp[power] = exp[power + 255] = value
        log[value] = power
        value <<= 1
        if value & 0x100:
            value ^= _PRIMITIVE
    return exp, log


_EXP, _LOG = _tables()
_EXP_ARRAY, _LOG_ARRAY = np.array(_EXP, np.intp), np.array(_LOG, np.intp)


def _times() -> tuple[bytes, ...]:
    """Return the multiplication table: row a, column b."""
    table = _EXP_ARRAY[_LOG_ARRAY[:, None] + _LOG_ARRAY].astype(np.uint8)
    table[0] = table[:, 0] = 0
    return tuple(row.tobytes() for row in table)


_TIMES = _times()


def syndromes(word: NDArray[np.uint8], checks: int) -> list[int]:
    """Return the ``checks`` syndromes of ``word``, highest power first; all zero means no error."""
    places = np.flatnonzero(word)
    logs = _LOG_ARRAY[word[places]]
    powers = len(word) - 1 - places
    terms = _EXP_ARRAY[(logs + np.arange(checks)[:, None] * powers) % 255]
    return (
        [int(value) for value in np.bitwise_xor.reduce(terms, axis=1)]
        if len(places)
        else [0] * checks
    )


def correct(
    word: NDArray[np.uint8], checks: int, erasures: Sequence[int] = ()
) -> NDArray[np.uint8] | None:
    """Return ``word`` repaired, or None when it has more errors than its checks can repair.

    ``erasures``: indices of values that are not used, at most ``checks`` of them.
    """
    syndrome = syndromes(word, checks)
    if not any(syndrome):
        return word.copy()
    locator = _locator(syndrome, checks, [len(word) - 1 - index for index in erasures])
    if locator is None:
        return None
    powers = _roots(locator, len(word))
    if len(powers) != len(locator) - 1:
        return None
    repaired = word.copy()
    for power, value in zip(powers, _magnitudes(syndrome, locator, powers, checks), strict=True):
        repaired[len(word) - 1 - power] ^= value
    return repaired if not any(syndromes(repaired, checks)) else None


def _locator(syndrome: list[int], checks: int, erased: list[int]) -> list[int] | None:
    """Return the error locator, lowest power first (Berlekamp-Massey, from the erasures)."""
    locator = [1]
    for power in erased:
        locator = _product(locator, [1, _EXP[power % 255]])
    spare, length = list(locator), len(erased)
    for step in range(len(erased), checks):
        delta = 0
        for coefficient, value in zip(locator, reversed(syndrome[: step + 1]), strict=False):
            delta ^= _TIMES[coefficient][value]
        spare = [0, *spare]
        if delta:
            changed = _sum(locator, _scaled(spare, delta))
            if 2 * length <= step + len(erased):
                length = step + 1 + len(erased) - length
                spare = _scaled(locator, _EXP[(255 - _LOG[delta]) % 255])
            locator = changed
    while locator and locator[-1] == 0:
        locator.pop()
    return locator if 2 * (len(locator) - 1) - len(erased) <= checks else None


def _roots(locator: list[int], length: int) -> list[int]:
    """Return the powers at which the locator is zero (Chien's search, all places at once)."""
    degrees = np.flatnonzero(locator)
    logs = _LOG_ARRAY[np.array(locator, np.intp)[degrees]]
    inverse = 255 - np.arange(length)
    values = np.bitwise_xor.reduce(
        _EXP_ARRAY[(logs[:, None] + degrees[:, None] * inverse) % 255], axis=0
    )
    return [int(power) for power in np.flatnonzero(values == 0)]


def _magnitudes(
    syndrome: list[int], locator: list[int], powers: list[int], checks: int
) -> list[int]:
    """Return the values of the errors at ``powers`` (Forney's algorithm)."""
    evaluator = _product(syndrome, locator)[:checks]
    slope = [coefficient if index % 2 else 0 for index, coefficient in enumerate(locator)][1:]
    values = []
    for power in powers:
        inverse = _EXP[(255 - power) % 255]
        bottom = _evaluate(slope, inverse)
        if bottom == 0:
            return [0] * len(powers)  # the check of the repaired word rejects it
        top = _TIMES[_EXP[power % 255]][_evaluate(evaluator, inverse)]
        values.append(_TIMES[top][_EXP[(255 - _LOG[bottom]) % 255]])
    return values


def _evaluate(polynomial: list[int], at: int) -> int:
    row, value = _TIMES[at], 0
    for coefficient in reversed(polynomial):
        value = row[value] ^ coefficient
    return value


def _product(a: list[int], b: list[int]) -> list[int]:
    out = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        row = _TIMES[x]
        for j, y in enumerate(b):
            out[i + j] ^= row[y]
    return out


def _scaled(polynomial: list[int], factor: int) -> list[int]:
    row = _TIMES[factor]
    return [row[coefficient] for coefficient in polynomial]


def _sum(a: list[int], b: list[int]) -> list[int]:
    return [x ^ y for x, y in zip_longest(a, b, fillvalue=0)]
