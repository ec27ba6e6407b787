"""Recovery reads codes that were located and not read, and reads nothing where there is no code."""

import cv2
import numpy as np
import pytest

from edge.decode.qr import recovery
from edge.decode.qr.finder_patterns import locate
from edge.decode.qr.zxing import LocatedSymbol, detect
from edge.decode.scene import local_threshold
from tests.support.drawn_codes import TOKEN, bent, drawn, noisy


def test_a_code_at_known_corners_is_read():
    grey, quad = drawn("HELLO")
    symbol = recovery.recover(grey, LocatedSymbol(quad, 1)).symbol
    assert (symbol.content, symbol.text, symbol.decoder, symbol.quad) == (
        b"HELLO",
        "HELLO",
        "recovery",
        quad,
    )


def test_corners_may_be_a_third_of_a_module_off():
    grey, quad = drawn(TOKEN, px=4)
    off = tuple(
        (x + dx, y + dy)
        for (x, y), (dx, dy) in zip(quad, ((1, -1), (-1, 1), (1.3, 1), (-1, -1)), strict=True)
    )
    assert recovery.recover(grey, LocatedSymbol(off, 9)).symbol.text == TOKEN


@pytest.mark.parametrize("depth", [6, 14])
def test_a_code_bent_by_more_than_a_module_is_read(depth):
    """zxing-cpp locates it and cannot read it: its grid is flat."""
    grey, _ = drawn("HTTPS://EXAMPLE.COM/P/123456789", px=6, at=(120, 200), version=4)
    curved = bent(grey, depth)
    (place,) = locate(local_threshold(curved, 0.2))[:1]
    assert recovery.recover(curved, place).symbol.text == "HTTPS://EXAMPLE.COM/P/123456789"


def test_blur_of_half_a_module_is_filtered_out():
    grey, quad = drawn("HTTPS://EXAMPLE.COM/P/1", px=5, version=3)
    blurred = noisy(cv2.GaussianBlur(grey, (0, 0), 2.8), 1)
    assert not detect(blurred).read
    assert (
        recovery.recover(blurred, LocatedSymbol(quad, 3)).symbol.text == "HTTPS://EXAMPLE.COM/P/1"
    )


def test_without_a_code_there_are_no_symbol_and_no_soft_modules():
    found = recovery.recover(
        noisy(np.full((480, 640), 128, np.uint8), 40),
        LocatedSymbol(((80, 60), (240, 60), (240, 220), (80, 220)), 2),
    )
    assert found == recovery.RecoveryResult(None, None)


def test_a_code_located_as_another_version_is_not_misread():
    grey, quad = drawn("HELLO", px=6)
    assert all(
        recovery.recover(grey, LocatedSymbol(quad, version)).symbol is None
        for version in range(2, 9)
    )


def test_without_time_recovery_ends_at_once():
    grey, quad = drawn("HELLO")
    assert recovery.recover(grey, LocatedSymbol(quad, 1), has_time=lambda: False).symbol is None


def test_a_code_that_is_not_read_has_soft_modules():
    grey, quad = drawn(TOKEN, px=2)
    found = recovery.recover(noisy(grey, 150), LocatedSymbol(quad, 9))
    assert found.symbol is None
    assert found.modules.shape == (53, 53)
