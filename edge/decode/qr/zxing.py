"""zxing-cpp: the first decoder. Fast, accurate, and it reports the codes it found and could not read.

``QRCodeModel2`` and not ``QRCode``: the latter also reads Micro QR, whose smallest symbols have no error
correction, and misreads large codes as "25". Inverted codes are a rung of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import zxingcpp
from numpy.typing import NDArray

from edge.decode.qr.quad import Quad, as_quad
from edge.ports import Symbol

NAME = "zxing"
_FORMATS = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2])


class Binarizer(Enum):
    """How grey becomes black and white before the search."""

    LOCAL = zxingcpp.Binarizer.LocalAverage
    GLOBAL = zxingcpp.Binarizer.GlobalHistogram
    FIXED = zxingcpp.Binarizer.FixedThreshold  # the picture is black and white already


@dataclass(frozen=True, slots=True)
class LocatedSymbol:
    """Where a code seems to be: corners from its top left, clockwise as it reads, and its version, 1 to 40."""

    quad: Quad
    version: int


@dataclass(frozen=True, slots=True)
class DetectionResult:
    """What one pass of the decoder found: codes read, and places where a code was located and not read."""

    read: tuple[Symbol, ...]
    unread: tuple[LocatedSymbol, ...]


def look(
    grey: NDArray[np.uint8],
    *,
    binarizer: Binarizer = Binarizer.LOCAL,
    invert: bool = False,
) -> DetectionResult:
    """Search ``grey`` (height, width)."""
    found = zxingcpp.read_barcodes(
        grey,
        formats=_FORMATS,
        try_invert=invert,
        binarizer=binarizer.value,
        text_mode=zxingcpp.TextMode.Plain,
        return_errors=True,
    )
    return DetectionResult(
        tuple(_symbol(code) for code in found if code.valid),
        tuple(
            LocatedSymbol(_quad(code), version)
            for code in found
            if not code.valid and (version := _version(code))
        ),
    )


def read(grey: NDArray[np.uint8], *, binarizer: Binarizer = Binarizer.LOCAL) -> tuple[Symbol, ...]:
    """Return the codes in ``grey``, without the cost of keeping track of those not read."""
    found = zxingcpp.read_barcodes(
        grey,
        formats=_FORMATS,
        try_invert=False,
        binarizer=binarizer.value,
        text_mode=zxingcpp.TextMode.Plain,
    )
    return tuple(_symbol(code) for code in found)


def _symbol(code: zxingcpp.Barcode) -> Symbol:
    return Symbol(content=code.bytes, quad=_quad(code), decoder=NAME, transcript=code.text)


def _version(code: zxingcpp.Barcode) -> int | None:
    """The version of a code that was sampled but could not be decoded; None where untold, or a Micro QR ("M4")."""
    known: Any = code.extra or {}
    told = str(known.get("Version", ""))
    return int(told) if told.isdecimal() and 1 <= int(told) <= 40 else None


def _quad(code: zxingcpp.Barcode) -> Quad:
    place = code.position
    corners = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
    return as_quad((corner.x, corner.y) for corner in corners)
