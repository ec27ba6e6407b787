"""Ports: the interfaces of hardware and clock. Adapters and simulators implement them alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge.values.errors import EdgeError
from edge.values.instant import Instant


@dataclass(frozen=True, slots=True)
class Exposure:
    """Exposure of a frame, taken or requested."""

    time_us: float
    gain: float  # analogue, 1 and up

    @property
    def light(self) -> float:
        """Return the product that the picture's brightness is proportional to."""
        return self.time_us * self.gain


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture of the camera: luminance only, shape (height, width), 0 black to 255 white."""

    grey: NDArray[np.uint8]
    number: int  # counts every frame that the camera made, so that gaps show drops
    captured_ns: int  # monotonic clock when the frame was received
    exposure: Exposure | None = None  # of this frame; None: not known


Quad = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
NO_QUAD: Final[Quad] = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A code that a decoder read."""

    content: bytes  # the payload bytes as encoded
    quad: Quad  # pixels; NO_QUAD from a source without a picture
    decoder: str  # which decoder (and rung) read it
    # The text, where the decoder knew the character set (ECI, Kanji, Latin-1).
    transcript: str | None = None

    @property
    def text(self) -> str:
        """Return the content for people.

        Without a transcript, bytes that are not UTF-8 show as U+FFFD.
        """
        return (
            self.content.decode("utf-8", errors="replace")
            if self.transcript is None
            else self.transcript
        )


class CameraError(EdgeError):
    """The camera gave no frame: unplugged, stalled, missing or ended. The message says which."""


class CameraEnded(CameraError):  # noqa: N818 - the end of a finite source is not an error
    """A finite source (a video file, a folder of pictures) has no more frames."""


class EngineError(EdgeError):
    """The scan engine is missing or was lost. The message says what to do."""


class LockError(EdgeError):
    """The lock could not be driven. Whether the door opened is not known."""


class Camera(Protocol):
    """A source of frames.

    A camera that delivers frames but lacks something lists it in an attribute ``notes``, a tuple
    of sentences.
    """

    def read(self) -> Frame:
        """Wait for the next frame.

        Raises CameraError when the camera is lost, CameraEnded when a finite source is done.
        """
        ...

    def close(self) -> None:
        """Release the device. Safe to call twice."""
        ...


class FrameSource(Protocol):
    """Where the newest frame is read: a capture worker, or a filter of its frames."""

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait up to ``timeout_s`` for the newest frame not read yet. None: none came in time."""
        ...


@runtime_checkable
class ExposureControl(Protocol):
    """Optional ability of a ``Camera``: a settable exposure, reported in ``Frame.exposure``."""

    def expose(self, wanted: Exposure | None) -> None:
        """Set the exposure of the next frames; None: that of the profile, mostly automatic.

        Returns at once; frames follow it some frames later. Called by the thread that reads.
        """
        ...


class Decoder(Protocol):
    """Reader of the codes in one grey picture. Never raises for any picture content."""

    def decode(self, grey: NDArray[np.uint8]) -> Sequence[Symbol]:
        """Return every distinct QR code read in ``grey`` (height, width)."""
        ...


class CodeSource(Protocol):
    """A scan engine: it reads codes by itself and sends their content."""

    def read(self, timeout_s: float) -> Symbol | None:
        """Wait for the next code. None: none came in time. Raises EngineError when it is lost."""
        ...

    def close(self) -> None:
        """Release the device. Safe to call twice."""
        ...


class Signal(Enum):
    """What a person sees and hears. A verdict maps to exactly one."""

    IDLE = "idle"  # ready to scan
    GO = "go"  # redeemed
    WAIT = "wait"  # not now or not here: ask, or come back
    STOP = "stop"  # refused
    FAULT = "fault"  # the device itself needs help
    AIM = "aim"  # a code is seen and not read yet: hold it closer, steadier, out of the glare
    OFF = "off"


class Indicator(Protocol):
    """Lamps and buzzer."""

    def show(self, signal: Signal) -> None:
        """Show ``signal`` until the next call. Returns at once."""
        ...

    def close(self) -> None:
        """Switch all lamps off and release the pins. Safe to call twice."""
        ...


class Lock(Protocol):
    """The locks of a locker, one a compartment. Fail-secure: energised only within a pulse."""

    def compartments(self) -> frozenset[str]:
        """Return the compartments that have a lock."""
        ...

    def pulse(self, compartment: str) -> None:
        """Energise the lock once, for the profile's pulse length. Raises LockError."""
        ...

    def close(self) -> None:
        """De-energise all and release. Safe to call twice."""
        ...


class DoorSensor(Protocol):
    """Door contacts, one a compartment."""

    def is_open(self, compartment: str) -> bool | None:
        """Return whether the door is open; None without a sensor, or when it cannot be read."""
        ...

    def close(self) -> None:
        """Release the sensors. Safe to call twice."""
        ...


@runtime_checkable
class CountsOpenings(Protocol):
    """Optional ability of a ``DoorSensor``: counting doors that opened and closed between reads."""

    def openings(self, compartment: str) -> int:
        """Return how often the door opened and closed since the start; 0 without a sensor."""
        ...


@runtime_checkable
class ReportsProblems(Protocol):
    """Optional ability of a ``Lock``: reporting faults of parts that can be lost and found."""

    @property
    def problems(self) -> dict[str, str]:
        """Return the present problems: name to detail."""
        ...


class Switch(Protocol):
    """An input that a person turns on: a trigger button, or a presence sensor."""

    def is_pressed(self) -> bool:
        """Return whether it is on now. An input that cannot be read counts as on."""
        ...

    def close(self) -> None:
        """Release the input. Safe to call twice."""
        ...


class Clock(Protocol):
    """Wall time with its trust, and a monotonic count for intervals."""

    def now(self) -> Instant:
        """Return the wall clock, raised to the time floor, and whether it is trusted."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start; never jumps."""
        ...


class Hint(StrEnum):
    """Why a code that is seen cannot be read."""

    TOO_FAR = "too_far"
    TOO_DARK = "too_dark"
    GLARE = "glare"
    BLURRED = "blurred"
    CUT_OFF = "cut_off"
