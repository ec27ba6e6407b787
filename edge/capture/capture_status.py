"""How a camera is, for health, doctor and the lamps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CaptureState(StrEnum):
    """How the camera is."""

    STARTING = "starting"  # being opened for the first time
    STREAMING = "streaming"  # frames arrive
    STALLED = "stalled"  # open, but no frame in time
    LOST = "lost"  # unplugged or refused; being opened again
    ENDED = "ended"  # a finite source is done, or the worker was closed


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureStatus:
    """The camera at a glance, for health, ``doctor`` and the lamps."""

    state: CaptureState
    detail: str  # for people: what is wrong and what to do; empty while streaming
    frames: int  # handed over by the camera
    dropped: int  # never taken by the decode loop, because a newer one came
    openings: int  # successful ones
    stalls: int
    losses: int
    hanging: int  # abandoned readers that have not come back
    notes: tuple[str, ...] = ()  # what the camera cannot do or could not read, though frames come
