"""The pages of a store's two files: as they are now, and as they were before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from edge.store.salvage.log_frames import LogFrames, read_log
from edge.store.salvage.tree_pages import Cell

_MAGIC: Final = b"SQLite format 3\x00"
_PAGE_SIZE: Final = 4096  # SQLite's own choice, and so that of every store: for a lost first page
_LEAST_PAGE, _LARGEST_PAGE = 512, 65536


class PageImages:
    """Reads the pages of a store that no process changes. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            self.page_size = _page_size(self._file.read(100))
            self._log = _content(path.with_name(f"{path.name}-wal"))
            self.log: LogFrames = read_log(self._log, self.page_size)
            size = self._file.seek(0, 2)
        except BaseException:
            self._file.close()
            raise
        self._frames: dict[int, list[int]] = defaultdict(list)  # oldest first
        for frame in self.log.current:
            self._frames[frame.page].append(frame.at)
        self.count = max([-(-size // self.page_size), *self._frames])

    def current(self, number: int) -> bytes:
        """Return page ``number``, from 1, as the last transaction left it; zeros where none is."""
        frames = self._frames.get(number)
        return self._framed(frames[-1]) if frames else self._filed(number)

    def earlier(self, number: int) -> list[bytes]:
        """Return what page ``number`` was before, the newest first."""
        frames = self._frames.get(number)
        now = [self._framed(at) for at in reversed(frames[:-1])] if frames else []
        filed = [self._filed(number)] if frames else []
        before = [self._framed(frame.at) for frame in self.log.earlier if frame.page == number]
        return now + filed + before[::-1]

    def payload(self, cell: Cell) -> bytes:
        """Return the whole payload of a row, or the part of it that can be read."""
        parts, missing, number = [cell.local], cell.size - len(cell.local), cell.overflow
        while missing > 0:
            if not 1 <= number <= self.count:
                break
            page = self.current(number)
            number = int.from_bytes(page[:4], "big")
            part = page[4 : 4 + missing]
            if not any(page) or (missing <= len(part) and number):
                break  # zeros, or a chain that goes on behind its end: not this row's
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> PageImages:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _framed(self, at: int) -> bytes:
        return self._log[at : at + self.page_size]

    def _filed(self, number: int) -> bytes:
        self._file.seek((number - 1) * self.page_size)
        return self._file.read(self.page_size).ljust(self.page_size, b"\x00")


def lost_commits(path: Path) -> bool:
    """Return whether the log of the store at ``path`` lost transactions that were committed.

    To be asked before SQLite opens the store: it would go on without them. Asked twice, because
    another process may write to the log while it is read. Raises OSError.

    The main file is not touched: closing it would end the locks that this process has on it
    (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    log = path.with_name(f"{path.name}-wal")
    return all(read_log(content, _page_size_in(content)).lost for content in _twice(log))


def _page_size(header: bytes) -> int:
    size = int.from_bytes(header[16:18], "big") if header[:16] == _MAGIC else 0
    return _possible(_LARGEST_PAGE if size == 1 else size)


def _possible(size: int) -> int:
    power_of_two = size & (size - 1) == 0
    return size if power_of_two and _LEAST_PAGE <= size <= _LARGEST_PAGE else _PAGE_SIZE


def _page_size_in(log: bytes) -> int:
    """Return the size of a page, as the header of ``log`` names it."""
    return _possible(int.from_bytes(log[8:12], "big"))


def _twice(log: Path) -> Iterator[bytes]:
    for _ in range(2):
        yield _content(log)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
