"""Reads, false reads and time of our ladder against every decoder that is installed, on the same pictures.

One thread, every decoder on each picture in turn. ``EDGE_SCANNER_BENCH=full`` draws more tokens and clips.
Compare ratios, never milliseconds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean, median, quantiles

import cv2

from benchmarks.decode_choice import held_out_reads, table
from benchmarks.decode_peers import REFERENCE, Grey, Peer, peers
from benchmarks.decode_pictures import Case, blanks, clips, photographs, tokens
from benchmarks.measurement import Measurement
from edge.decode import zxing
from edge.decode.live import LiveDecoder

_SETS = {"boofcv": "boofcv-", "text": "zxcpp-", "negatives": "neg-"}
_FRAME_MS = 1000 / 30


def measure() -> Iterator[Measurement]:
    """Yield reads, false reads and times by set and decoder, then live figures. Some minutes."""
    cv2.setNumThreads(1)
    seeds, clip_count = (4, 40) if os.environ.get("EDGE_SCANNER_BENCH") == "full" else (1, 12)
    decoders = peers()
    for name, prefix in _SETS.items():
        cases = list(photographs(prefix))
        if not cases:
            print(f"decode: no photographs {prefix}*: set EDGE_SCANNER_SHARED_DATA", file=sys.stderr)
            continue
        yield from _still(name, cases, decoders)
        if name == "boofcv":
            yield from _choice(cases)
    yield from _still("tokens", list(tokens(seeds)), [decoders[0], decoders[1], *(p for p in decoders if p.is_ours)])
    yield from _blank(blanks(16))
    yield from _moving(clip_count)


@dataclass(slots=True)
class _Tally:
    hits: list[bool] = field(default_factory=list)
    false: int = 0
    ms: list[float] = field(default_factory=list)


def _still(name: str, cases: Sequence[Case], decoders: Sequence[Peer]) -> Iterator[Measurement]:
    tallies = {peer.name: _Tally() for peer in decoders}
    for number, case in enumerate(cases):
        turn = number % len(decoders)  # nobody always finds the caches warm
        for peer in [*decoders[turn:], *decoders[:turn]]:
            tally = tallies[peer.name]
            began = time.perf_counter()
            reads = peer.read(case.grey)
            tally.ms.append((time.perf_counter() - began) * 1000)
            hit, false = case.judge(reads)
            tally.hits.append(hit)
            tally.false += false
    union = sum(any(tallies[p.name].hits[at] for p in decoders if not p.is_ours) for at in range(len(cases)))
    yield Measurement(f"{name} pictures", len(cases), "pictures")
    yield Measurement(f"{name} reads, union of peers", union, "pictures")
    reference = tallies[REFERENCE]
    for peer in decoders:
        yield from _report(name, peer.name, tallies[peer.name], reference)
        if peer.is_ours:
            read = sum(tallies[peer.name].hits)
            yield Measurement(f"{name} reads, {peer.name}", read, "pictures", "union of peers", _over(read, union))


def _report(name: str, peer: str, tally: _Tally, reference: _Tally) -> Iterator[Measurement]:
    reads, theirs = sum(tally.hits), sum(reference.hits)
    yield Measurement(f"{name} reads, {peer}", reads, "pictures", REFERENCE, _over(reads, theirs))
    yield Measurement(f"{name} false reads, {peer}", tally.false, "codes")
    for kind, value, other in (
        ("mean", mean(tally.ms), mean(reference.ms)),
        ("median", median(tally.ms), median(reference.ms)),
        ("p95", quantiles(tally.ms, n=20)[-1], quantiles(reference.ms, n=20)[-1]),
    ):
        yield Measurement(f"{name} {kind}, {peer}", value, "ms", REFERENCE, _over(value, other))


def _choice(cases: Sequence[Case]) -> Iterator[Measurement]:
    """What a ladder reads of pictures that had no part in choosing its rungs."""
    reads, first_ms, rest = 0, [], []
    for case in cases:
        began = time.perf_counter()
        found = zxing.look(case.grey).read
        first_ms.append((time.perf_counter() - began) * 1000)
        if case.judge([(s.text, s.quad) for s in found])[0]:
            reads += 1
        else:
            rest.append(case)
    budget_ms = 3 * mean(first_ms) * len(cases) / len(rest)  # what the rungs beyond the first may cost, a picture
    held_out = reads + held_out_reads(table(rest), budget_ms)
    yield Measurement(
        "boofcv reads, rungs chosen on other pictures", held_out, "pictures", "first rung", held_out / reads
    )


def _blank(frames: Sequence[Grey]) -> Iterator[Measurement]:
    reference = peers()[0].read
    awake = LiveDecoder(budget_ms=10_000)
    times: dict[str, list[float]] = {"zxing": [], "first": [], "live": []}
    for turn in range(4):
        for grey in frames:
            times["zxing"].append(_timed(lambda grey=grey: reference(grey)))
            times["first"].append(_timed(lambda grey=grey: zxing.look(grey)))
            awake.wake()
            times["live"].append(_timed(lambda grey=grey: awake.decode(grey)))
        del turn
    base = mean(times["zxing"])
    for name, kind in (("first rung", "first"), ("with rotation", "live")):
        value = mean(times[kind])
        yield Measurement(f"empty frame, {name}", value, "ms", REFERENCE, value / base)


def _moving(count: int) -> Iterator[Measurement]:
    """Frames until the first read: ours live, theirs on every frame; a clip never read counts as all its frames."""
    reference = peers()[0].read
    ours_at, theirs_at, lengths = [], [], []
    for text, frames in clips(count):
        decoder = LiveDecoder()
        lengths.append(len(frames))
        ours_at.append(_first(text, ([s.text for s in decoder.decode(grey)] for grey in frames)))
        theirs_at.append(_first(text, ([str(t) for t, _ in reference(grey)] for grey in frames)))
    read, theirs = (sum(at is not None for at in those) for those in (ours_at, theirs_at))
    yield Measurement("clips read, live", read, f"of {count}", REFERENCE, _over(read, theirs))
    until, others = (
        median([(length if at is None else at + 1) for at, length in zip(those, lengths, strict=True)])
        for those in (ours_at, theirs_at)
    )
    yield Measurement("clip, frames to first read, median", until, "frames", REFERENCE, until / others)
    yield Measurement("clip, time to first read, median", until * _FRAME_MS, "ms", REFERENCE, until / others)


def _first(text: str, reads: Iterable[list[str]]) -> int | None:
    for number, texts in enumerate(reads):
        if text in texts:
            return number
    return None


def _timed(call: object) -> float:
    assert callable(call)
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _over(ours: float, theirs: float) -> float | None:
    return ours / theirs if theirs else None
