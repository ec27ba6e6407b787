"""zxing-cpp, the first decoder: fast, accurate, and it reports codes that it located and not read.

``QRCodeModel2`` and not ``QRCode``: the latter also reads Micro QR, whose smallest symbols have no
error correction, and misreads large codes as "25". Inverted codes are a rung of their own.
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
    """Method to reduce grey to black and white before the search."""

    LOCAL = zxingcpp.Binarizer.LocalAverage
    GLOBAL = zxingcpp.Binarizer.GlobalHistogram
    FIXED = zxingcpp.Binarizer.FixedThreshold  # the picture is black and white already


@dataclass(frozen=True, slots=True)
class LocatedSymbol:
    """A code that was located and not read."""

    quad: Quad  # corners from its top left, clockwise as it reads
    version: int  # 1 to 40


@dataclass(frozen=True, slots=True)
class DetectionResult:
    """Result of one pass of the decoder: codes read, and codes located and not read."""

    read: tuple[Symbol, ...]
    unread: tuple[LocatedSymbol, ...]


def detect(
    grey: NDArray[np.uint8],
    *,
    binarizer: Binarizer = Binarizer.LOCAL,
    invert: bool = False,
) -> DetectionResult:
    """Return the codes that are read or located in ``grey`` (height, width)."""
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
    """Return the codes read in ``grey``, without the cost of tracking those not read."""
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
    """Return the version of a code that was sampled and not decoded.

    None: not reported, or a Micro QR ("M4").
    """
    extra: Any = code.extra or {}
    version = str(extra.get("Version", ""))
    return int(version) if version.isdecimal() and 1 <= int(version) <= 40 else None


def _quad(code: zxingcpp.Barcode) -> Quad:
    place = code.position
    corners = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
    return as_quad((corner.x, corner.y) for corner in corners)
