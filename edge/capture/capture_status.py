"""State of a camera, for the health file, the doctor and the lamps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CaptureState(StrEnum):
    """State of the camera."""

    STARTING = "starting"  # being opened for the first time
    STREAMING = "streaming"  # frames arrive
    STALLED = "stalled"  # open, but no frame in time
    LOST = "lost"  # unplugged or refused; being opened again
    ENDED = "ended"  # a finite source is done, or the worker was closed


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureStatus:
    """State and counters of the capture worker. Counters begin at its start."""

    state: CaptureState
    detail: str  # for people: what is wrong and what to do; empty while streaming
    frames: int  # received from the camera
    dropped: int  # replaced by a newer frame before the decode loop read them
    openings: int  # successful ones
    stalls: int
    losses: int
    hanging: int  # abandoned readers that have not returned yet
    notes: tuple[str, ...] = ()  # what the camera cannot do or could not read, though frames arrive
