"""Cross-validation of the choice of rungs: chosen on some pictures, counted on others.

Each rung is tried alone (with the closer look that follows it, and with the patient one after that)
on every picture that the first rung does not read. A ladder is then chosen greedily, by gain per
cost, on four fifths of the pictures, and its reads are counted on the remaining fifth. Cost is
processor time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.decode_pictures import Case
from edge.decode.rungs import DEEP, Rung, closer, patient
from edge.decode.scene import FrameAnalysis

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """Result of one rung on one picture."""

    read: bool
    ms: float


Table = list[dict[str, Trial]]  # one row a picture, by the name of the rung


def table(cases: Sequence[Case]) -> Table:
    """Try every rung on every picture."""
    rungs = [rung for rung in DEEP if not rung.name.startswith(("closer", "patient"))]
    return [dict(trial for rung in rungs for trial in _trials(rung, case)) for case in cases]


def held_out_reads(rows: Table, budget_ms: float) -> int:
    """Return how many pictures are read by ladders that were chosen without them.

    Each ladder has a mean cost of at most ``budget_ms``.
    """
    reads = 0
    for fold in range(FOLDS):
        train = [row for at, row in enumerate(rows) if at % FOLDS != fold]
        ladder = list(_greedy(train, budget_ms))
        reads += sum(
            any(row[name].read for name in ladder)
            for at, row in enumerate(rows)
            if at % FOLDS == fold
        )
    return reads


def _greedy(rows: Table, budget_ms: float) -> Iterator[str]:
    left, rest, spent = list(rows), set(rows[0]), 0.0
    while left and rest:
        cost = {name: sum(row[name].ms for row in left) / len(rows) for name in rest}
        gain = {name: sum(row[name].read for row in left) for name in rest}
        best = max(rest, key=lambda name: gain[name] / (cost[name] + 1e-9))
        rest.remove(best)
        if gain[best] == 0:
            return
        if spent + cost[best] <= budget_ms:
            spent += cost[best]
            left = [row for row in left if not row[best].read]
            yield best


def _trials(rung: Rung, case: Case) -> Iterator[tuple[str, Trial]]:
    """Yield a trial of the rung alone, and of the rung with a patient look after it."""
    scene = FrameAnalysis(case.grey)
    began_s = time.process_time()
    symbols = rung.read(scene) or closer(scene)
    for name in (rung.name, f"{rung.name} patient"):
        read = case.judge([(s.text, s.quad) for s in symbols])[0]
        yield name, Trial(read, (time.process_time() - began_s) * 1000)
        symbols = symbols or patient(scene)
