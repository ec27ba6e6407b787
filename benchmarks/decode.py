"""Reads, false reads and time of our ladder and of every installed decoder, on the same pictures.

One thread; every decoder reads each picture in turn. The time of a picture is processor time of the
whole process, so that other load does not count. ``EDGE_SCANNER_BENCH=full`` draws more tokens and
clips. Compare ratios, never milliseconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean, median, quantiles

import cv2

from benchmarks.decode_choice import held_out_reads, table
from benchmarks.decode_live import measure_live
from benchmarks.decode_peers import REFERENCE, Peer, peers
from benchmarks.decode_pictures import Case, photographs, tokens
from benchmarks.measurement import Measurement, cpu_ms
from edge.decode.qr import zxing

_SETS = {"boofcv": "boofcv-", "text": "zxcpp-", "negatives": "neg-"}
_REPEATS = 7


def measure() -> Iterator[Measurement]:
    """Yield reads, false reads and times by set and decoder, then live figures. Some minutes."""
    cv2.setNumThreads(1)
    seeds, clip_count = (4, 40) if os.environ.get("EDGE_SCANNER_BENCH") == "full" else (1, 12)
    decoders = peers()
    for name, prefix in _SETS.items():
        cases = list(photographs(prefix))
        if not cases:
            print(
                f"decode: no photographs {prefix}*: set EDGE_SCANNER_SHARED_DATA", file=sys.stderr
            )
            continue
        yield from _still(name, cases, decoders)
        if name == "boofcv":
            yield from _repeated(cases, decoders)
            yield from _choice(cases)
    yield from _still(
        "tokens",
        list(tokens(seeds)),
        [decoders[0], decoders[1], *(p for p in decoders if p.is_ours)],
    )
    yield from measure_live(clip_count)


@dataclass(slots=True)
class _Tally:
    hits: list[bool] = field(default_factory=list)
    false: int = 0
    ms: list[float] = field(default_factory=list)


def _still(name: str, cases: Sequence[Case], decoders: Sequence[Peer]) -> Iterator[Measurement]:
    tallies = {peer.name: _Tally() for peer in decoders}
    for number, case in enumerate(cases):
        turn = number % len(decoders)  # no decoder always runs with warm caches
        for peer in [*decoders[turn:], *decoders[:turn]]:
            tally = tallies[peer.name]
            reads, spent_ms = cpu_ms(peer.read, case.grey)
            tally.ms.append(spent_ms)
            hit, false = case.judge(reads)
            tally.hits.append(hit)
            tally.false += false
    union = sum(
        any(tallies[p.name].hits[at] for p in decoders if not p.is_ours) for at in range(len(cases))
    )
    yield Measurement(f"{name} pictures", len(cases), "pictures")
    yield Measurement(f"{name} reads, union of peers", union, "pictures")
    reference = tallies[REFERENCE]
    for peer in decoders:
        yield from _report(name, peer.name, tallies[peer.name], reference)
        if peer.is_ours:
            read = sum(tallies[peer.name].hits)
            yield Measurement(
                f"{name} reads, {peer.name}", read, "pictures", "union of peers", _over(read, union)
            )


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


def _repeated(cases: Sequence[Case], decoders: Sequence[Peer]) -> Iterator[Measurement]:
    """Yield the ladder's mean time over the reference's, of several runs, against disturbances."""
    theirs, ours = decoders[0], next(peer for peer in decoders if peer.is_ours)
    ratios = []
    for _ in range(_REPEATS):
        spent = {theirs.name: 0.0, ours.name: 0.0}
        for number, case in enumerate(cases):
            for peer in (theirs, ours) if number % 2 else (ours, theirs):
                spent[peer.name] += cpu_ms(peer.read, case.grey)[1]
        ratios.append(spent[ours.name] / spent[theirs.name])
    for kind, value in (
        ("median", median(ratios)),
        ("lowest", min(ratios)),
        ("highest", max(ratios)),
    ):
        yield Measurement(
            f"boofcv mean, {ours.name}, {kind} of {_REPEATS}", value, "times", REFERENCE, value
        )


def _choice(cases: Sequence[Case]) -> Iterator[Measurement]:
    """Yield what ladders read of pictures that were not used to choose their rungs."""
    reads, first_ms, rest = 0, [], []
    for case in cases:
        found, spent_ms = cpu_ms(zxing.detect, case.grey)
        first_ms.append(spent_ms)
        if case.judge([(s.text, s.quad) for s in found.read])[0]:
            reads += 1
        else:
            rest.append(case)
    trials = table(rest)
    # The budget of the rungs beyond the first, in units of the first rung.
    for name, times in (("ladder", 3), ("deep", 16)):
        held_out = reads + held_out_reads(trials, times * mean(first_ms) * len(cases) / len(rest))
        title = f"boofcv reads, {name} chosen on other pictures"
        yield Measurement(title, held_out, "pictures", "first rung", held_out / reads)


def _over(ours: float, theirs: float) -> float | None:
    return ours / theirs if theirs else None
