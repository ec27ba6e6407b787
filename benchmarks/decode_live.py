"""The live decoder: frames without a code, an idle loop, moving clips, and a second core."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from statistics import mean, median

import numpy as np

from benchmarks.decode_peers import REFERENCE, Grey, peers
from benchmarks.decode_pictures import blanks, clips, photographs
from benchmarks.measurement import Measurement, cpu_ms
from edge.decode.isolation.decoder import IsolatedDecoder
from edge.decode.live import LiveDecoder
from edge.decode.qr import zxing

_RATE_HZ = 30
_FRAME_MS = 1000 / _RATE_HZ
_PICTURE_FRAMES = 45
_EVERY = 4  # one in this many of the photographs that the first rung does not read


def measure_live(clip_count: int) -> Iterator[Measurement]:
    """Yield all figures of the live decoder."""
    yield from _blank(blanks(16))
    yield from _idle(blanks(1)[0])
    films = list(clips(clip_count))
    yield from _moving(films)
    yield from _cores("clips", films)
    yield from _cores("hard pictures", list(_held_still()))


def _blank(frames: Sequence[Grey]) -> Iterator[Measurement]:
    reference = peers()[0].read
    awake = LiveDecoder(budget_ms=10_000)
    times: dict[str, list[float]] = {"zxing": [], "first": [], "live": []}
    for _ in range(4):
        for grey in frames:
            times["zxing"].append(cpu_ms(reference, grey)[1])
            times["first"].append(cpu_ms(zxing.detect, grey)[1])
            awake.wake()
            times["live"].append(cpu_ms(awake.decode, grey)[1])
    base = mean(times["zxing"])
    for name, kind in (("first rung", "first"), ("with rotation", "live")):
        value = mean(times[kind])
        yield Measurement(f"empty frame, {name}", value, "ms", REFERENCE, value / base)


def _idle(grey: Grey) -> Iterator[Measurement]:
    """Yield the load of a core at 30 frames a second, idle and awake."""
    now_ms = [0.0]
    decoders = {name: LiveDecoder(clock_ms=lambda: now_ms[0]) for name in ("idle", "awake")}
    spent = dict.fromkeys(decoders, 0.0)
    for number in range(600):
        now_ms[0] = number * _FRAME_MS
        decoders["awake"].wake()
        for name, decoder in decoders.items():
            spent_ms = cpu_ms(decoder.decode, grey)[1]
            spent[name] += spent_ms if number >= 300 else 0.0  # by then the idle one sleeps
    idle, awake = (100 * spent[name] / 300 / _FRAME_MS for name in ("idle", "awake"))
    yield Measurement("still empty frame, awake", awake, "% of core")
    yield Measurement("still empty frame, idle", idle, "% of core", "awake", idle / awake)


def _moving(films: Sequence[tuple[str, list[Grey]]]) -> Iterator[Measurement]:
    """Yield the frames until the first read: ours live, the reference's on every frame.

    A clip that is never read counts with all its frames.
    """
    reference = peers()[0].read
    ours_at, theirs_at, lengths = [], [], []
    for text, frames in films:
        decoder = LiveDecoder()
        lengths.append(len(frames))
        ours_at.append(_first(text, ([s.text for s in decoder.decode(grey)] for grey in frames)))
        theirs_at.append(_first(text, ([str(t) for t, _ in reference(grey)] for grey in frames)))
    read, theirs = (sum(at is not None for at in those) for those in (ours_at, theirs_at))
    yield Measurement(
        "clips read, live", read, f"of {len(films)}", REFERENCE, read / theirs if theirs else None
    )
    until, others = (
        median(
            [(length if at is None else at + 1) for at, length in zip(those, lengths, strict=True)]
        )
        for those in (ours_at, theirs_at)
    )
    yield Measurement(
        "clip, frames to first read, median", until, "frames", REFERENCE, until / others
    )
    yield Measurement(
        "clip, time to first read, median", until * _FRAME_MS, "ms", REFERENCE, until / others
    )


def _first(text: str, reads: Iterable[list[str]]) -> int | None:
    for number, texts in enumerate(reads):
        if text in texts:
            return number
    return None


def _held_still() -> Iterator[tuple[str | None, list[Grey]]]:
    """Yield photographs that the first rung does not read, moving by a pixel.

    They have no text: any read counts.
    """
    hard = [case.grey for case in photographs("boofcv-") if not zxing.detect(case.grey).read]
    for grey in hard[::_EVERY]:
        trembling = [np.ascontiguousarray(np.roll(grey, shift, axis=1)) for shift in (0, 1, 2)]
        yield None, [trembling[number % 3] for number in range(_PICTURE_FRAMES)]


def _cores(name: str, films: Sequence[tuple[str | None, list[Grey]]]) -> Iterator[Measurement]:
    """Yield figures of one core and of two, at the camera's frame rate, film by film in turn.

    A film that is never read counts in full.
    """
    waits: dict[int, list[float]] = {1: [], 2: []}
    read, looked, spent_s = ({1: 0.0, 2: 0.0} for _ in range(3))
    for number, (text, frames) in enumerate(films):
        for cores in (1, 2) if number % 2 else (2, 1):
            decoder = IsolatedDecoder(cores=cores)
            try:
                _wait_for(decoder, cores, frames[0].shape)
                was_read, ms, seen = _watched(decoder, text, frames)
            finally:
                decoder.close()
            waits[cores].append(ms)
            read[cores] += was_read
            looked[cores] += seen
            spent_s[cores] += ms / 1000
    if not films:
        return
    one, two = (mean(waits[cores]) for cores in (1, 2))
    yield Measurement(
        f"{name} read, two cores",
        read[2],
        f"of {len(films)}",
        "one core",
        read[2] / max(1, read[1]),
    )
    yield Measurement(
        f"{name}, time to first read, mean, two cores", two, "ms", "one core", two / one
    )
    one, two = (median(waits[cores]) for cores in (1, 2))
    yield Measurement(
        f"{name}, time to first read, median, two cores", two, "ms", "one core", two / one
    )
    one, two = (looked[cores] / spent_s[cores] for cores in (1, 2))
    yield Measurement(
        f"{name}, frames decoded a second, two cores", two, "frames", "one core", two / one
    )


def _wait_for(decoder: IsolatedDecoder, cores: int, shape: tuple[int, ...]) -> None:
    """Wait until its processes have started: each has counted a rung that only it has."""
    wanted = {"zxing", "closer-adaptive"} if cores == 2 else {"zxing"}
    while not wanted <= decoder.counts.keys():
        decoder.decode(np.full(shape, 128, np.uint8))
        time.sleep(0.02)


def _watched(
    decoder: IsolatedDecoder, text: str | None, frames: Sequence[Grey]
) -> tuple[bool, float, int]:
    """Return whether a film was read, after how many ms, and how many frames were decoded.

    The decoder always gets the newest frame.
    """
    began_s, last, seen = time.perf_counter(), -1, 0
    while (newest := int((time.perf_counter() - began_s) * _RATE_HZ)) < len(frames):
        if newest == last:
            time.sleep(0.001)
            continue
        last, seen = newest, seen + 1
        texts = [symbol.text for symbol in decoder.decode(frames[newest])]
        if text in texts or (text is None and texts):
            return True, (time.perf_counter() - began_s) * 1000, seen
    return False, len(frames) * _FRAME_MS, seen
