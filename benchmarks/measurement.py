"""One figure, and the peer it was measured against in the same run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """``ratio`` is ours over the peer's; what is better depends on the unit."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    ratio: float | None = None

    def __str__(self) -> str:
        against = f"  {self.ratio:.2f} x {self.peer}" if self.ratio is not None else ""
        return f"{self.name:<48} {self.value:>12.3f} {self.unit:<10}{against}"
