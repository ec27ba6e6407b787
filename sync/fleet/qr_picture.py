"""QR picture of a token, checked by reading it back."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from edge.system.durable_file import write_durably
from edge.values.errors import EdgeError

MODULE_PX = 8
QUIET_ZONE = 4  # modules, ISO/IEC 18004


class QrPictureError(EdgeError):
    """No picture could be made."""


def write_qr(token: str, path: Path) -> None:
    """Write ``token`` as a PNG in alphanumeric mode, level M, after reading the picture back.

    Raises QrPictureError.
    """
    png = render(token)
    if read_back(png) != token.encode():
        raise QrPictureError(
            f"the picture of {path.name} did not read back as its token and was not written"
        )
    try:
        write_durably(path, png, mode=0o644)
    except OSError as error:
        raise QrPictureError(f"cannot write {path}: {error.strerror}") from None


def render(token: str) -> bytes:
    """Return ``token`` as a PNG."""
    try:
        import segno
    except ImportError:
        raise QrPictureError("QR pictures need segno: pip install 'edge-scanner[fleet]'") from None
    code = segno.make_qr(token, mode="alphanumeric", error="m", boost_error=False)
    png = io.BytesIO()
    code.save(png, kind="png", scale=MODULE_PX, border=QUIET_ZONE)
    return png.getvalue()


def read_back(png: bytes) -> bytes | None:
    """Return the content of the one QR code in ``png``; None for no code or several.

    It is read with ZXing, the first decoder of the devices.
    """
    import zxingcpp

    grey = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        return None
    symbols = zxingcpp.read_barcodes(
        grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2)
    )
    return bytes(symbols[0].bytes) if len(symbols) == 1 else None
