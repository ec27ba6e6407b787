"""The scoreboard of the proofs: what was tried, how often, and how often it broke a law.

A proof counts on the fixture ``scoreboard``. ``make prove`` prints one table over all of them and
keeps it in docs/reference/proofs.md. ``--times N`` makes each proof N times as large.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "reference" / "proofs.md"
PROPERTY = "proof"
_BEGIN, _END = "<!-- the last run: begin -->\n", "<!-- the last run: end -->\n"


class Scoreboard:
    """What one test tried. ``rows`` is by kind: tried, broken."""

    def __init__(self, times: float) -> None:
        self.times = times
        self.rows: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def size(self, usual: int) -> int:
        """Return how often to try, where ``usual`` is the size of one ``make prove``."""
        return max(1, round(usual * self.times))

    def count(self, kind: str, tried: int = 1, broken: int = 0) -> None:
        """Record that ``kind`` was tried, and how often a law was broken."""
        self.rows[kind][0] += tried
        self.rows[kind][1] += broken


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    kind: str
    proofs: int  # tests that tried it
    tried: int
    broken: int


def lines(properties: Iterable[tuple[str, int, int]]) -> list[Line]:
    """Return the table's rows: the sums of (kind, tried, broken) of every test, by kind."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for kind, tried, broken in properties:
        for place, value in enumerate((1, tried, broken)):
            sums[kind][place] += value
    return [Line(kind, *sums[kind]) for kind in sorted(sums)]


def table(rows: Iterable[Line]) -> str:
    """Return the rows as a Markdown table.

    >>> print(table([Line("kills", 2, 1084, 0)]))
    | what was tried | proofs | times | broke a law |
    |---|---:|---:|---:|
    | kills | 2 | 1,084 | 0 |
    """
    head = "| what was tried | proofs | times | broke a law |\n|---|---:|---:|---:|"
    body = [f"| {row.kind} | {row.proofs} | {row.tried:,} | {row.broken:,} |" for row in rows]
    return "\n".join([head, *body])


def write_page(page: Path, rows: Iterable[Line], heading: str) -> None:
    """Replace the table of the last run in ``page``; ``heading`` says when and where."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(
        f"{before}{_BEGIN}\n{heading}\n\n{table(rows)}\n\n{_END}{after}", encoding="utf-8"
    )
