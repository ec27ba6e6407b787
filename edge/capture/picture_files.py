"""Pictures from files, as a decoder needs them: luminance, in the file's own pixels."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.values.errors import EdgeError

LARGEST_BYTES: Final = 256 << 20  # several times the raw frame of the largest camera
SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".jp2", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


class UnreadablePictureError(EdgeError):
    """The file is not a readable picture. The message says why."""


def load(path: Path, *, largest_bytes: int = LARGEST_BYTES) -> NDArray[np.uint8]:
    """Return the picture in ``path`` as grey (height, width). Raises UnreadablePictureError.

    Orientation tags are ignored, so that quads are in pixels of the file. Transparent pixels count
    as white. A file larger than ``largest_bytes`` is refused.
    """
    data = np.frombuffer(_content(path, largest_bytes), dtype=np.uint8)
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error as error:
        raise UnreadablePictureError("too large or damaged") from error
    if picture is None:
        raise UnreadablePictureError("not a picture, or damaged")
    return _grey(picture)


def _content(path: Path, largest_bytes: int) -> bytes:
    """Return the bytes of a regular file. A device or a pipe is refused: it may never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadablePictureError("not a file")
        with path.open("rb") as file:
            content = file.read(largest_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnreadablePictureError(
            getattr(error, "strerror", None) or "cannot be read"
        ) from error
    if len(content) > largest_bytes:
        raise UnreadablePictureError(f"larger than {largest_bytes >> 20} MiB")
    return content


def silence_opencv() -> None:
    """Switch off OpenCV's own warnings about damaged files: ``load`` reports what is wrong."""
    settings: Any = cv2
    if hasattr(cv2, "setLogLevel"):  # OpenCV 4
        settings.setLogLevel(0)
    else:  # OpenCV 5
        settings.utils.logging.setLogLevel(settings.utils.logging.LOG_LEVEL_SILENT)


def find(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield each file of ``paths``, and for each folder its pictures at any depth, by name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in SUFFIXES and file.is_file()
            )
        else:
            yield path


def _grey(picture: NDArray[Any]) -> NDArray[np.uint8]:
    if picture.dtype == np.uint8:
        depth = picture
    else:  # 16 bits a channel, or floats from 0 to 1
        full = 65535.0 if picture.dtype == np.uint16 else 1.0
        scaled = np.nan_to_num(picture * (255.0 / full), nan=255.0)  # NaN counts as white
        depth = np.asarray(np.clip(scaled, 0, 255), dtype=np.uint8)
    if depth.ndim == 2:
        return depth
    if depth.shape[2] == 4:
        opacity = depth[:, :, 3:].astype(np.float32) / 255
        depth = np.asarray(depth[:, :, :3] * opacity + 255 * (1 - opacity), dtype=np.uint8)
    if depth.shape[2] == 3:
        return np.asarray(cv2.cvtColor(depth, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
    return np.ascontiguousarray(depth[:, :, 0])
