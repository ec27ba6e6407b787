"""The ports: what the scanner asks of the world. Real parts and simulators implement the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge.values.instant import Instant


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a frame was or shall be exposed."""

    time_us: float
    gain: float  # analogue, 1 and up

    @property
    def light(self) -> float:
        """The product that brightness follows."""
        return self.time_us * self.gain


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture of the camera: luminance only, shape (height, width), 0 black to 255 white."""

    grey: NDArray[np.uint8]
    number: int  # counts every frame the camera made, so gaps show drops
    captured_ns: int  # monotonic clock when the frame was handed over
    exposure: Exposure | None = None  # of this frame; None: the camera cannot be told how to expose


Quad = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
NO_QUAD: Final[Quad] = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A code that a decoder read."""

    content: bytes  # the payload bytes as encoded
    quad: Quad  # pixels; NO_QUAD from a source without a picture
    decoder: str  # which decoder (and rung) read it
    transcript: str | None = (
        None  # the text where the decoder knew the character set (ECI, Kanji, Latin-1)
    )

    @property
    def text(self) -> str:
        """The content for people; bytes that are not UTF-8 and came without a transcript show as U+FFFD."""
        return (
            self.content.decode("utf-8", errors="replace")
            if self.transcript is None
            else self.transcript
        )


class CameraError(Exception):
    """The camera gave no frame: unplugged, stalled, missing or ended. The message names which."""


class CameraEnded(CameraError):  # noqa: N818 - an end is not an error for a finite source
    """A finite source (a video file, a folder of pictures) has no more frames."""


class EngineError(Exception):
    """The scan engine is not there, or went away. The message says what to do."""


class LockError(Exception):
    """The lock could not be driven; whether the door opened is unknown."""


class Camera(Protocol):
    """A source of frames.

    One that gives frames though something is amiss says so in an attribute ``notes``, a tuple of sentences.
    """

    def read(self) -> Frame:
        """Block for the next frame. Raises CameraError (lost) or CameraEnded (finite source done)."""
        ...

    def close(self) -> None:
        """Release the device. Safe to call twice."""
        ...


class FrameSource(Protocol):
    """Where the newest frame is read: a camera's worker, or what filters its frames."""

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait up to ``timeout_s`` for the newest frame not read yet. None: none came in time."""
        ...


@runtime_checkable
class Exposes(Protocol):
    """What a ``Camera`` may do besides: expose as it is told. It says so in each frame's ``exposure``."""

    def expose(self, wanted: Exposure | None) -> None:
        """Expose the frames to come like this; None: as the profile says, which mostly is automatically.

        Returns at once; some frames later they follow. Called by the thread that reads.
        """
        ...


class Decoder(Protocol):
    """Reads codes in one grey picture. Never raises for any picture content."""

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return every distinct QR code read in ``grey`` (height, width), uint8."""
        ...


class CodeSource(Protocol):
    """A scan engine: reads codes by itself and hands over what they hold."""

    def read(self, timeout_s: float) -> Symbol | None:
        """Wait for the next code; None when none came in time. Raises EngineError when the engine is lost."""
        ...

    def close(self) -> None:
        """Release the device. Safe to call twice."""
        ...


class Signal(Enum):
    """What a person sees and hears. A verdict maps to exactly one."""

    IDLE = "idle"  # ready to scan
    GO = "go"  # honoured
    WAIT = "wait"  # not now or not here: ask, or come back
    STOP = "stop"  # refused
    FAULT = "fault"  # the device itself needs help
    AIM = "aim"  # a code is seen and cannot be read yet: hold it closer, steadier, out of the glare
    OFF = "off"


class Indicator(Protocol):
    """Lamps and buzzer."""

    def show(self, signal: Signal) -> None:
        """Show ``signal`` until the next call. Returns at once."""
        ...

    def close(self) -> None:
        """All lamps off, pins released. Safe to call twice."""
        ...


class Lock(Protocol):
    """The locks of a locker, one a compartment. Fail-secure: never energised except within a pulse."""

    def compartments(self) -> frozenset[str]:
        """The compartments this lock hardware serves."""
        ...

    def pulse(self, compartment: str) -> None:
        """Energise once for the profile's pulse length. Raises LockError."""
        ...

    def close(self) -> None:
        """De-energise all and release. Safe to call twice."""
        ...


class DoorSensor(Protocol):
    """Door contacts, one a compartment."""

    def is_open(self, compartment: str) -> bool | None:
        """True open, False closed, None when there is no sensor or it cannot be read."""
        ...

    def close(self) -> None:
        """Release. Safe to call twice."""
        ...


@runtime_checkable
class CountsOpenings(Protocol):
    """What a ``DoorSensor`` may do besides: notice a door that opened and closed while nobody looked."""

    def openings(self, compartment: str) -> int:
        """How often the door was open and closed again since the start; 0 when there is no contact."""
        ...


@runtime_checkable
class ReportsProblems(Protocol):
    """What a ``Lock`` may do besides: name what is wrong now with parts that come and go."""

    @property
    def problems(self) -> dict[str, str]:
        """Return what is wrong, by the name of the problem."""
        ...


class Switch(Protocol):
    """Something that a person turns on: a trigger button, or a presence sensor."""

    def is_pressed(self) -> bool:
        """Return whether it is on now. One that cannot be read counts as on."""
        ...

    def close(self) -> None:
        """Release. Safe to call twice."""
        ...


class Clock(Protocol):
    """Wall time with its trust, and a monotonic count for intervals."""

    def now(self) -> Instant:
        """The wall clock raised to the time floor, with how far it can be believed."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start; never jumps."""
        ...


class Hint(StrEnum):
    """What is wrong with the view of a code."""

    TOO_FAR = "too_far"
    TOO_DARK = "too_dark"
    GLARE = "glare"
    BLURRED = "blurred"
    CUT_OFF = "cut_off"
