"""The files of a store in its folder: in use, in the making, and put aside.

A store is replaced in steps, each on disk before the next: the new one is made whole beside the old
one, the old one is put aside, the new one is put in place. A start after a cut goes on from there.
Every method raises OSError: a file that cannot be reached is not a file that is missing.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.store.database.store import FILE, SUSPECT

LOG: Final = "-wal"
SUFFIXES: Final = (LOG, "-shm")  # of the files beside the main one
REMNANT: Final = "remnant"  # a log whose main file is missing
_ASIDE: Final = re.compile(rf"{re.escape(FILE)}\.(\d+)\.\w+\+*")
_LOG_HEADER_BYTES: Final = 32  # https://www.sqlite.org/fileformat2.html#the_write_ahead_log
_PAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """The files of the store in ``folder``."""

    folder: Path

    @property
    def main(self) -> Path:
        """Return the main file of the store in use."""
        return self.folder / FILE

    @property
    def making(self) -> Path:
        """Return the main file of the store that is being made."""
        return self.folder / f"{FILE}.new"

    @property
    def suspect(self) -> Path:
        """Return the mark of a store whose every page is to be checked."""
        return self.folder / SUSPECT

    def is_missing(self) -> bool:
        """Return whether there is no main file. A link that leads nowhere is there."""
        return not _is_there(self.main)

    def is_a_database(self, main: Path) -> bool:
        """Return whether ``main`` may be a database: a regular file, and not empty."""
        found = main.stat()
        return stat.S_ISREG(found.st_mode) and found.st_size > 0

    def is_suspect(self) -> bool:
        """Return whether a process met corruption."""
        return _is_there(self.suspect)

    def has_making(self) -> bool:
        """Return whether a store that was being made is there, and not empty."""
        return _is_there(self.making) and self.making.stat().st_size > 0

    def has_log(self) -> bool:
        """Return whether the log beside the main file holds anything."""
        return _holds_pages(_beside(self.main, LOG))

    def is_bare_log(self) -> bool:
        """Return whether the log is what there is of the store: its main file is empty or gone."""
        if not self.has_log():
            return False
        if self.is_missing():
            return True
        found = self.main.stat()
        return stat.S_ISREG(found.st_mode) and found.st_size == 0

    def lay_page_under_log(self) -> None:
        """Give a bare log a main file of one empty page.

        SQLite deletes a log beside an empty file. Above an empty page it reads what the log holds.
        """
        descriptor = os.open(self.main, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, _page_bytes(_beside(self.main, LOG)))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.sync()

    def quarantined(self) -> list[Path]:
        """Return the main files that were put aside, newest first."""
        time_s = {}
        for path in self.folder.iterdir():
            if named := _ASIDE.fullmatch(path.name):
                time_s[path] = int(named[1])
        return sorted(time_s, key=lambda path: (time_s[path], path.name), reverse=True)

    def put_aside(self, why: str, now_s: int) -> Path:
        """Rename the store, with its log; return its new name.

        The main file is first: a main file that is still there has its log beside it.
        """
        aside = self.folder / f"{FILE}.{now_s}.{why}"
        while any(_is_there(_beside(aside, suffix)) for suffix in ("", *SUFFIXES)):
            aside = aside.with_name(f"{aside.name}+")
        if _is_there(self.main):
            self.main.rename(aside)
            self.sync()
        self._move_log(aside)
        self.suspect.unlink(missing_ok=True)
        self.sync()
        return aside

    def put_in_place(self) -> None:
        """Rename the store that was made to that in use, when no other is there any more."""
        self.making.rename(self.main)
        self.sync()

    def finish_putting_aside(self, now_s: int) -> None:
        """Rename the log that a cut kept from following its main file."""
        for aside in self.quarantined()[:1]:
            if not _holds_pages(_beside(aside, LOG)):
                self._move_log(aside)
        self.put_aside(REMNANT, now_s)

    def remove_making(self) -> None:
        """Remove what was being made: a cut kept it from being whole, or from being needed."""
        for suffix in ("", *SUFFIXES):
            _beside(self.making, suffix).unlink(missing_ok=True)

    def sync(self) -> None:
        """Have every rename so far on disk."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _move_log(self, aside: Path) -> None:
        for suffix in SUFFIXES:
            if _is_there(_beside(self.main, suffix)):
                _beside(self.main, suffix).rename(_beside(aside, suffix))


def _beside(main: Path, suffix: str) -> Path:
    return main.with_name(main.name + suffix)


def _is_there(path: Path) -> bool:
    """Return whether there is a file. ``Path.exists`` calls some that cannot be reached missing."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _holds_pages(log: Path) -> bool:
    return _is_there(log) and log.stat().st_size > _LOG_HEADER_BYTES


def _page_bytes(log: Path) -> int:
    """Return the size of a page, as the head of ``log`` names it."""
    with log.open("rb", buffering=0) as file:
        named = int.from_bytes(file.read(12)[8:], "big")
    return named if named in {2**power for power in range(9, 17)} else _PAGE_BYTES
