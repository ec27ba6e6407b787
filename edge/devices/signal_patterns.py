"""What each signal looks and sounds like: pure data.

Without colours, signals differ by rhythm: GO is steady, STOP blinks fast, WAIT blinks slowly, FAULT
alternates between two lamps, IDLE is a rare short flash. Without sight, results differ by sound:
one long beep, two short ones, one short one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from edge.ports import Signal


class IndicatorPart(Enum):
    """A lamp or the buzzer."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    BUZZER = "buzzer"


@dataclass(frozen=True, slots=True)
class PatternStep:
    """Which parts are on, and for how long. ``lasts_s`` None: until the next signal."""

    parts: frozenset[IndicatorPart]
    lasts_s: float | None


@dataclass(frozen=True, slots=True)
class Pattern:
    """Steps played once, then steps played in a loop."""

    once: tuple[PatternStep, ...]
    loop: tuple[PatternStep, ...]


def _step(lasts_s: float | None, *parts: IndicatorPart) -> PatternStep:
    return PatternStep(frozenset(parts), lasts_s)


def pattern_for(signal: Signal) -> Pattern:
    """Return the pattern of ``signal``. A signal without a pattern fails type checking."""
    green, amber, red, buzzer = (
        IndicatorPart.GREEN,
        IndicatorPart.AMBER,
        IndicatorPart.RED,
        IndicatorPart.BUZZER,
    )
    match signal:
        case Signal.GO:
            return Pattern((_step(0.5, green, buzzer),), (_step(None, green),))
        case Signal.STOP:
            beep = (_step(0.12, red, buzzer), _step(0.12))
            return Pattern((*beep, *beep), (_step(0.12, red), _step(0.12)))
        case Signal.WAIT:
            return Pattern(
                (_step(0.15, amber, buzzer), _step(0.45, amber), _step(0.6)),
                (_step(0.6, amber), _step(0.6)),
            )
        case Signal.FAULT:
            return Pattern((), (_step(0.4, amber), _step(0.1), _step(0.4, red), _step(0.1)))
        case Signal.AIM:
            return Pattern((), (_step(0.08, amber), _step(0.08), _step(0.08, amber), _step(0.5)))
        case Signal.IDLE:
            return Pattern((), (_step(0.06, green), _step(2.94)))
        case Signal.OFF:
            return Pattern((), (_step(None),))
        case _:
            assert_never(signal)


def stand_in(part: IndicatorPart, present: frozenset[IndicatorPart]) -> IndicatorPart | None:
    """Return the part that replaces ``part`` on a device that has only ``present``; None: no part.

    Amber and red replace each other: their rhythms differ. Green replaces no other part: a green
    lamp that means "no" would be read as "yes".
    """
    if part in present:
        return part
    others = {IndicatorPart.AMBER: IndicatorPart.RED, IndicatorPart.RED: IndicatorPart.AMBER}
    other = others.get(part)
    return other if other in present else None
