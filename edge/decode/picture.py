"""Pictures from files, as a decoder wants them: luminance, in the file's own pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".jp2", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class UnreadablePictureError(Exception):
    """The file is not a picture that can be read; the message says why."""


def load(path: Path) -> NDArray[np.uint8]:
    """Return the picture in ``path`` as grey (height, width). Raises UnreadablePictureError.

    Orientation tags are ignored, so that places are in pixels of the file. What is transparent is paper white.
    """
    try:
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise UnreadablePictureError(error.strerror or "cannot be read") from error
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error as error:
        raise UnreadablePictureError("too large or damaged") from error
    if picture is None:
        raise UnreadablePictureError("not a picture, or damaged")
    return _grey(picture)


def hush() -> None:
    """Silence OpenCV's own warnings about damaged files: ``load`` says what is wrong."""
    settings: Any = cv2
    if hasattr(cv2, "setLogLevel"):  # OpenCV 4
        settings.setLogLevel(0)
    else:  # OpenCV 5
        settings.utils.logging.setLogLevel(settings.utils.logging.LOG_LEVEL_SILENT)


def find(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield each file named, and for each folder the pictures in it and below, in order of name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        else:
            yield path


def _grey(picture: NDArray[Any]) -> NDArray[np.uint8]:
    if picture.dtype == np.uint8:
        depth = picture
    else:  # 16 bits a channel, or floats from 0 to 1
        full = 65535.0 if picture.dtype == np.uint16 else 1.0
        depth = np.asarray(np.clip(picture * (255.0 / full), 0, 255), dtype=np.uint8)
    if depth.ndim == 2:
        return depth
    if depth.shape[2] == 4:
        opacity = depth[:, :, 3:].astype(np.float32) / 255
        depth = np.asarray(depth[:, :, :3] * opacity + 255 * (1 - opacity), dtype=np.uint8)
    if depth.shape[2] == 3:
        return np.asarray(cv2.cvtColor(depth, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
    return np.ascontiguousarray(depth[:, :, 0])
