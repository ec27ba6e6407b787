"""One figure, and the peer that was measured in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Got = TypeVar("_Got")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure. ``ratio`` is our value over the peer's; the unit decides which is better."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    ratio: float | None = None

    def __str__(self) -> str:
        against = f"  {self.ratio:.2f} x {self.peer}" if self.ratio is not None else ""
        return f"{self.name:<48} {self.value:>12.3f} {self.unit:<10}{against}"


def cpu_ms(
    call: Callable[_Given, _Got], *given: _Given.args, **named: _Given.kwargs
) -> tuple[_Got, float]:
    """Return the result of ``call``, and the processor time of this process in milliseconds."""
    began_s = time.process_time()
    got = call(*given, **named)
    return got, (time.process_time() - began_s) * 1000
