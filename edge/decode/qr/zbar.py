"""zbar, the second decoder, where libzbar is installed.

It tolerates defects that zxing-cpp does not, at ten times its cost. It is called through pyzbar's
own bindings, because ``pyzbar.decode`` lets libzbar guess a character set and re-encode the
payload; libzbar's binary mode (0.23.1 and later) gives the bytes as encoded.
"""

from __future__ import annotations

import ctypes
from functools import cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from edge.decode.qr.quad import Quad, as_quad
from edge.ports import Symbol

NAME = "zbar"
_QR_CODE = 64  # ZBAR_QRCODE of zbar.h, which the next two constants are also from
_ENABLE = 0  # ZBAR_CFG_ENABLE
_BINARY = 4  # ZBAR_CFG_BINARY
_Y800 = int.from_bytes(b"Y800", "little")


@cache
def absence() -> str | None:
    """Return why zbar cannot be used and what to do about it, or None where it can."""
    try:
        wrapper = _wrapper()
    except ImportError as error:  # pyzbar raises it for a missing shared library
        return f"zbar is not installed ({error}): install the system package libzbar0"
    scanner = wrapper.zbar_image_scanner_create()
    try:
        if wrapper.zbar_image_scanner_set_config(scanner, _QR_CODE, _BINARY, 1) != 0:
            return "libzbar is older than 0.23.1 and would alter binary payloads: upgrade libzbar0"
    finally:
        wrapper.zbar_image_scanner_destroy(scanner)
    return None


def read(grey: NDArray[np.uint8]) -> tuple[Symbol, ...]:
    """Return the codes in ``grey`` (height, width); none where zbar is absent."""
    if absence() is not None:
        return ()
    wrapper = _wrapper()
    height, width = grey.shape
    pixels = np.ascontiguousarray(grey)
    scanner, image = wrapper.zbar_image_scanner_create(), wrapper.zbar_image_create()
    try:
        wrapper.zbar_image_scanner_set_config(scanner, 0, _ENABLE, 0)
        wrapper.zbar_image_scanner_set_config(scanner, _QR_CODE, _ENABLE, 1)
        wrapper.zbar_image_scanner_set_config(scanner, _QR_CODE, _BINARY, 1)
        wrapper.zbar_image_set_format(image, _Y800)
        wrapper.zbar_image_set_size(image, width, height)
        wrapper.zbar_image_set_data(image, pixels.ctypes.data, pixels.size, None)
        wrapper.zbar_scan_image(scanner, image)
        return tuple(_symbols(wrapper, image))
    finally:
        wrapper.zbar_image_destroy(image)
        wrapper.zbar_image_scanner_destroy(scanner)


def _wrapper() -> ModuleType:
    from pyzbar import wrapper

    module: ModuleType = wrapper
    return module


def _symbols(wrapper: ModuleType, image: object) -> list[Symbol]:
    found = []
    symbol = wrapper.zbar_image_first_symbol(image)
    while symbol:
        if symbol.contents.type == _QR_CODE and wrapper.zbar_symbol_get_loc_size(symbol) == 4:
            content = ctypes.string_at(
                wrapper.zbar_symbol_get_data(symbol), wrapper.zbar_symbol_get_data_length(symbol)
            )
            found.append(
                Symbol(
                    content=content,
                    quad=_quad(wrapper, symbol),
                    decoder=NAME,
                    transcript=text(content),
                )
            )
        symbol = wrapper.zbar_symbol_next(symbol)
    return found


def _quad(wrapper: ModuleType, symbol: object) -> Quad:
    x, y = wrapper.zbar_symbol_get_loc_x, wrapper.zbar_symbol_get_loc_y
    return as_quad((x(symbol, corner), y(symbol, corner)) for corner in range(4))


def text(content: bytes) -> str:
    """Return the text of a payload without a declared character set: UTF-8, else Latin-1.

    ISO/IEC 18004, 7.3.5.

    >>> text("Größe".encode()), text("Größe".encode("latin-1"))
    ('Größe', 'Größe')
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
