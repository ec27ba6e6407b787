"""The frames of SQLite's write-ahead log, also behind one that is damaged. Pure.

Source: https://www.sqlite.org/fileformat2.html, section 4. SQLite reads the log up to the first
frame that does not check, and forgets what follows. Each frame's checksum begins with the one of
the frame before, as it stands in that frame's header. So every frame checks on its own, given the
header of its predecessor.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from operator import mul
from typing import Final, NamedTuple

LOG_HEADER: Final = 32
FRAME_HEADER: Final = 24
_MAGIC: Final = (0x377F0682, 0x377F0683)  # the lowest bit: checksums of big-endian words
_WORD: Final = 0xFFFFFFFF


class LogFrame(NamedTuple):
    """One page, as a transaction wrote it."""

    page: int
    at: int  # where its content begins in the log
    salt: bytes  # of the run of the log that it belongs to
    commits: bool  # the last frame of its transaction


class LogFrames(NamedTuple):
    """What a log holds: its committed frames, oldest first.

    ``lost`` says that transactions were committed behind a frame that is damaged. SQLite does not
    see those, and does not say so.
    """

    current: list[LogFrame]  # of the last run of the log
    earlier: list[LogFrame]  # left from earlier runs, all of it moved into the file since
    lost: bool


def read_log(log: bytes, page_size: int) -> LogFrames:
    """Return the frames of a log.

    A power cut may tear the last transaction, which was not committed then. So a damaged frame
    counts as lost only when a later transaction follows it: that one began after the disk had it.
    """
    frames = list(_frames(log, page_size))
    salt = log[16:24] if _has_header(log) else _newest_salt(frames)
    runs: dict[bytes, list[tuple[int, LogFrame]]] = {}
    for place, frame in frames:
        runs.setdefault(frame.salt, []).append((place, frame))
    current = _committed(runs.pop(salt, []))
    earlier = [frame for run in runs.values() for _, frame in _committed(run)]
    return LogFrames(
        [frame for _, frame in current], earlier, lost=_has_hole(current, _has_header(log))
    )


def _frames(log: bytes, page_size: int) -> Iterator[tuple[int, LogFrame]]:
    """Yield every frame that checks, with its place in the log from 0."""
    big_endian = log[:4] == _MAGIC[1].to_bytes(4, "big")
    step = FRAME_HEADER + page_size
    for place, at in enumerate(range(LOG_HEADER, len(log) - step + 1, step)):
        before = at - step + 16 if place else 24
        page, size = struct.unpack(">II", log[at : at + 8])
        seed = struct.unpack(">II", log[before : before + 8])
        content = log[at : at + 8] + log[at + FRAME_HEADER : at + step]
        if page and checksum(content, seed, big_endian=big_endian) == struct.unpack(
            ">II", log[at + 16 : at + FRAME_HEADER]
        ):
            yield place, LogFrame(page, at + FRAME_HEADER, log[at + 8 : at + 16], size > 0)


def checksum(data: bytes, seed: tuple[int, int], *, big_endian: bool = False) -> tuple[int, int]:
    """Return the checksum of ``data``, whose length is a multiple of 8.

    SQLite adds each word to a pair of sums in turn. So a word counts as often as a Fibonacci number
    says, which is faster to compute here.
    """
    words = struct.unpack(f"{'>' if big_endian else '<'}{len(data) // 4}I", data)
    factors = _fibonacci(len(words) + 2)
    count = len(words)
    second = sum(map(mul, words, factors[count:0:-1]))
    second += seed[0] * factors[count] + seed[1] * factors[count + 1]
    first = sum(map(mul, words[:-1], factors[count - 1 : 0 : -1]))
    first += seed[0] * factors[count - 1] + seed[1] * factors[count]
    return first & _WORD, second & _WORD


@cache
def _fibonacci(count: int) -> list[int]:
    """Return the Fibonacci numbers 0, 1, 1, 2 ... in 32 bits."""
    numbers = [0, 1]
    while len(numbers) <= count:
        numbers.append(numbers[-1] + numbers[-2] & _WORD)
    return numbers


def _has_header(log: bytes) -> bool:
    """Return whether the log's own header is whole."""
    if len(log) < LOG_HEADER or int.from_bytes(log[:4], "big") not in _MAGIC:
        return False
    big_endian = log[3] == _MAGIC[1] & 0xFF
    return checksum(log[:24], (0, 0), big_endian=big_endian) == struct.unpack(">II", log[24:32])


def _newest_salt(frames: list[tuple[int, LogFrame]]) -> bytes:
    """Return the salt of the run that the first frames belong to: a new run begins at the front."""
    return frames[0][1].salt if frames else b""


def _committed(run: list[tuple[int, LogFrame]]) -> list[tuple[int, LogFrame]]:
    """Leave out the frames behind the last commit."""
    last = max((number for number, (_, frame) in enumerate(run) if frame.commits), default=-1)
    return run[: last + 1]


def _has_hole(current: list[tuple[int, LogFrame]], has_header: bool) -> bool:
    """Return whether a transaction that was committed after a damaged frame is in the log."""
    commits = [place for place, frame in current if frame.commits]
    places = {place for place, _ in current}
    if not commits:
        return False
    first_hole = next((place for place in range(commits[-1] + 1) if place not in places), None)
    if not has_header:
        first_hole = -1
    return first_hole is not None and sum(place > first_hole for place in commits) > 1
