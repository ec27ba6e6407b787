"""Folder of pictures as a camera: each picture is a frame, in natural order of names."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from edge.capture.picture_files import UnreadablePictureError, find, load
from edge.ports import CameraEnded, CameraError, Frame


class PictureFolder:
    """``Camera`` over picture files. Unreadable files are skipped and listed in ``unreadable``."""

    def __init__(self, path: Path) -> None:
        """Find the pictures of ``path``, a folder or one picture. Raises CameraError if none."""
        if not path.exists():
            raise CameraError(f"{path} does not exist: give a folder of pictures")
        self.paths = tuple(sorted(find([path]), key=natural_order))
        if not self.paths:
            raise CameraError(f"{path} holds no pictures (PNG, JPEG, WebP, BMP, TIFF, PGM)")
        self.unreadable: dict[Path, str] = {}
        self._left: Iterator[tuple[int, Path]] = enumerate(self.paths)

    def read(self) -> Frame:
        """Return the next readable picture; ``number`` is its index in ``paths``."""
        for number, path in self._left:
            try:
                grey = load(path)
            except UnreadablePictureError as error:
                self.unreadable[path] = str(error)
            else:
                return Frame(grey=grey, number=number, captured_ns=time.monotonic_ns())
        count = len(self.unreadable)
        raise CameraEnded(
            f"all {len(self.paths)} pictures were shown"
            + (f", {count} unreadable" if count else "")
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Return how many pictures could not be read, and why the first could not."""
        if not self.unreadable:
            return ()
        first, why = next(iter(self.unreadable.items()))
        counts = f"{len(self.unreadable)} of {len(self.paths)} pictures cannot be read"
        return (f"{counts}: {first.name}: {why}",)

    def close(self) -> None:
        """Return no more pictures."""
        self._left = iter(())


def natural_order(path: Path) -> tuple[list[str], list[tuple[int, int | str]]]:
    """Return a sort key that puts 9.png before 10.png, folder by folder.

    >>> [p.name for p in sorted(map(Path, ["10.png", "9.png", "A.png"]), key=natural_order)]
    ['9.png', '10.png', 'A.png']
    """
    parts = re.split(r"(\d+)", path.name.casefold())
    return list(path.parent.parts), [
        (0, int(part)) if part.isdecimal() else (1, part) for part in parts if part
    ]
