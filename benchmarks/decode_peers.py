"""Decoders to compare: every installed peer, and ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from edge.decode.ladder import Ladder
from edge.decode.qr import zbar
from edge.decode.qr.quad import Quad, as_quad
from edge.decode.rungs import DEEP, RUNGS

Grey = NDArray[np.uint8]
Reads = list[tuple[str | bytes, Quad]]
REFERENCE = "zxing-cpp QRCode"


@dataclass(frozen=True, slots=True)
class Peer:
    """A decoder and its name. ``is_ours`` excludes it from the union of peers."""

    name: str
    read: Callable[[Grey], Reads]
    is_ours: bool = False


def peers() -> list[Peer]:
    """Return every decoder, the reference first."""
    formats = zxingcpp.BarcodeFormat
    found = [
        Peer(REFERENCE, _zxing(formats=formats.QRCode)),
        Peer("zxing-cpp Model2", _zxing(formats=formats.QRCodeModel2, try_invert=False)),
        Peer("zxing-cpp all formats", _zxing()),
        Peer("OpenCV QRCodeDetector", _opencv(cv2.QRCodeDetector())),
        Peer("OpenCV QRCodeDetectorAruco", _opencv(cv2.QRCodeDetectorAruco())),
    ]
    if zbar.absence() is None:
        found.append(Peer("zbar", lambda grey: [(s.content, s.quad) for s in zbar.read(grey)]))
    if find_spec("deqr"):  # quirc: no dependency, measured where it is installed
        found.append(Peer("quirc", _quirc()))
    return [*found, ours("ladder", Ladder(RUNGS)), ours("ladder deep", Ladder(DEEP))]


def ours(name: str, ladder: Ladder) -> Peer:
    """Return a ladder as a peer."""
    return Peer(name, lambda grey: [(s.text, s.quad) for s in ladder.decode(grey)], is_ours=True)


def _zxing(**options: object) -> Callable[[Grey], Reads]:
    def read(grey: Grey) -> Reads:
        found: Sequence[zxingcpp.Barcode] = zxingcpp.read_barcodes(
            grey,
            text_mode=zxingcpp.TextMode.Plain,
            **options,  # type: ignore[arg-type] # the options vary
        )
        qr = zxingcpp.BarcodeFormat.QRCode
        return [(code.text, _place(code)) for code in found if code.symbology == qr]

    return read


def _place(code: zxingcpp.Barcode) -> Quad:
    place = code.position
    corners = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
    return as_quad((corner.x, corner.y) for corner in corners)


def _opencv(detector: cv2.QRCodeDetector | cv2.QRCodeDetectorAruco) -> Callable[[Grey], Reads]:
    def read(grey: Grey) -> Reads:
        try:
            found, texts, places, _ = detector.detectAndDecodeBytesMulti(grey)
        except cv2.error:
            return []
        return (
            [(text, as_quad(place)) for text, place in zip(texts, places, strict=True) if text]
            if found
            else []
        )

    return read


def _quirc() -> Callable[[Grey], Reads]:
    from deqr import QuircDecoder  # type: ignore[import-not-found,unused-ignore] # optional

    decoder = QuircDecoder()

    def read(grey: Grey) -> Reads:
        found = decoder.decode(grey.copy())  # it binarises in place
        return [
            (b"".join(_bytes(entry.data) for entry in code.data_entries), as_quad(code.corners))
            for code in found
        ]

    return read


def _bytes(data: object) -> bytes:
    return data if isinstance(data, bytes) else str(data).encode()
