"""Capture threads: keep a camera open, its newest frame in a slot, and its state known.

Each camera is opened, read and closed by one reader thread. A watch thread observes the reader's
progress:

* no frame for ``stall_s``: the state is ``STALLED``, even when ``read`` never returns;
* a read that returns a frame after a stall: ``STREAMING`` again, with the same camera;
* a read that raises: ``LOST``; the reader closes the camera and opens it anew, after growing
  pauses;
* a read that still hangs after ``replace_after_s``: the reader is abandoned and a fresh one opens
  the camera. The abandoned one closes its camera as soon as its read returns. A device that allows
  one owner refuses the fresh reader until then, which counts as a failed opening.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto
from math import inf

import numpy as np

from edge.capture.capture_status import CaptureState, CaptureStatus
from edge.capture.latest_frame import LatestFrame
from edge.ports import Camera, CameraEnded, CameraError, Exposure, ExposureControl, Frame

_MOST_HANGING = 3  # abandoned readers at a time; beyond, only a restart of the process helps


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureTimings:
    """Time limits of the worker, in seconds."""

    stall_s: float = 0.8  # without a frame, after which the camera counts as stalled
    first_frame_s: float = 2.5  # the same for the first frame, which takes longer
    replace_after_s: float = 3.0  # of a read or close, after which a fresh reader takes over
    open_s: float = 15.0  # the same for opening and for the first read
    first_pause_s: float = 0.25  # before the camera is opened again; doubles
    longest_pause_s: float = 2.0

    def stalled_after_s(self, step: _Step) -> float:
        """Return how long ``step`` may last before the camera counts as stalled."""
        return {_Step.FIRST_READ: self.first_frame_s, _Step.READ: self.stall_s}.get(step, inf)

    def hangs_after_s(self, step: _Step) -> float:
        """Return how long ``step`` may last before a fresh reader takes over."""
        slow = {_Step.OPEN: self.open_s, _Step.FIRST_READ: self.open_s}
        return {**slow, _Step.READ: self.replace_after_s, _Step.CLOSE: self.replace_after_s}.get(
            step, inf
        )


class _Step(StrEnum):
    OPEN = "open"
    FIRST_READ = "first read"
    READ = "read"
    DELIVER = "deliver"
    CLOSE = "close"
    PAUSE = "pause"


class _Outcome(Enum):
    """What one opening of the camera came to."""

    FRAMES = auto()  # some came before the camera was lost
    NO_FRAMES = auto()
    ENDED = auto()  # a finite source has no more


class _Reader:
    """One reader thread, its present step and since when.

    Step and time are one tuple, so that the watch thread reads both at once.
    """

    def __init__(self, run: Callable[[_Reader], None]) -> None:
        self.abandoned = threading.Event()
        self.activity = (_Step.PAUSE, time.monotonic())
        self.thread = threading.Thread(target=run, args=(self,), name="capture-reader", daemon=True)

    def begin(self, step: _Step) -> None:
        self.activity = (step, time.monotonic())


class CaptureWorker:
    """Frames of a camera that may be lost and found. Close it, or use it as a context manager."""

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        *,
        timings: CaptureTimings | None = None,
        every_frame: bool = False,
    ) -> None:
        """Prepare the threads; ``start`` starts them.

        ``open_camera`` opens the device anew at each call, or raises CameraError. ``every_frame``:
        wait until each frame was read instead of dropping it (files and folders).
        """
        self._open_camera = open_camera
        self._timings = timings or CaptureTimings()
        self._every_frame = every_frame
        self._slot = LatestFrame()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._status = CaptureStatus(
            state=CaptureState.STARTING,
            detail="opening the camera",
            frames=0,
            dropped=0,
            openings=0,
            stalls=0,
            losses=0,
            hanging=0,
        )
        self._last_number = -1
        self._wanted: Exposure | None = None
        self._hanging: list[_Reader] = []
        self._reader = _Reader(self._run)
        # A folder of large pictures may be slow, and opened again it would show its codes twice.
        self._watched = not every_frame
        self._watch = threading.Thread(target=self._watch_reader, name="capture-watch", daemon=True)

    def start(self) -> None:
        """Begin to capture. Returns at once; ``status`` reports a camera that cannot be opened."""
        self._reader.thread.start()
        if self._watched:
            self._watch.start()

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait up to ``timeout_s`` for the newest frame. None: none came, see ``status``."""
        return self._slot.next_frame(timeout_s)

    def expose(self, wanted: Exposure | None) -> None:
        """Request an exposure for the next frames; None: that of the profile.

        A camera without ``ExposureControl`` ignores it.
        """
        self._wanted = wanted

    def status(self) -> CaptureStatus:
        """Return the state of the camera now, with counts since the start."""
        with self._lock:
            return replace(self._status, dropped=self._slot.dropped, hanging=len(self._hanging))

    def close(self) -> None:
        """Stop and release the camera. Safe to call twice.

        Waits up to ``replace_after_s`` for a hanging read, then leaves its thread behind.
        """
        self._closing.set()
        self._slot.close()
        with self._lock:
            threads = (self._reader.thread, self._watch)
        for thread in threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(self._timings.replace_after_s)
        self._set_state(CaptureState.ENDED, "closed")

    def __enter__(self) -> CaptureWorker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The reader thread

    def _run(self, reader: _Reader) -> None:
        pause_s = self._timings.first_pause_s
        while not self._must_stop(reader):
            outcome = self._read_until_lost(reader)
            if outcome is _Outcome.ENDED:
                return
            if outcome is _Outcome.FRAMES:
                pause_s = self._timings.first_pause_s
            reader.begin(_Step.PAUSE)
            if self._closing.wait(pause_s):
                return
            pause_s = min(2 * pause_s, self._timings.longest_pause_s)

    def _read_until_lost(self, reader: _Reader) -> _Outcome:
        """Open the camera, deliver its frames until it is lost or ends, and close it."""
        camera: Camera | None = None
        last_number = self._last_number
        try:
            reader.begin(_Step.OPEN)
            camera = self._open_camera()
            self._count_opening(reader)
            reader.begin(_Step.FIRST_READ)
            applied = self._wanted = None  # a camera opens with the exposure of the profile
            while not self._must_stop(reader):
                if isinstance(camera, ExposureControl) and applied != self._wanted:
                    applied = self._wanted
                    with suppress(Exception):  # a badly exposed picture is better than none
                        camera.expose(applied)
                self._deliver(reader, camera.read())
                self._record_notes(reader, camera)
                reader.begin(_Step.READ)
        except CameraEnded as end:
            self._record_notes(reader, camera)
            self._record_end(reader, str(end))
            return _Outcome.ENDED
        except CameraError as error:
            self._record_loss(reader, str(error))
        except Exception as error:  # noqa: BLE001 - a driver may raise anything; the scanner goes on
            self._record_loss(reader, f"camera failed: {type(error).__name__}: {error}")
        finally:
            if camera is not None:
                reader.begin(_Step.CLOSE)
                self._close_quietly(camera)
        return _Outcome.NO_FRAMES if self._last_number == last_number else _Outcome.FRAMES

    def _must_stop(self, reader: _Reader) -> bool:
        return self._closing.is_set() or reader.abandoned.is_set()

    def _deliver(self, reader: _Reader, frame: Frame) -> None:
        if not _is_picture(frame.grey):
            raise CameraError(
                "the camera sends something that is not a grey picture: try another format or port"
            )
        with self._lock:
            if reader.abandoned.is_set():
                return
            if frame.number <= self._last_number:  # a camera counts anew from each opening
                frame = replace(frame, number=self._last_number + 1)
            self._last_number = frame.number
            self._status = replace(
                self._status,
                state=CaptureState.STREAMING,
                detail="",
                frames=self._status.frames + 1,
            )
        reader.begin(_Step.DELIVER)
        if self._every_frame:
            self._slot.put_when_empty(frame, cancelled=lambda: self._must_stop(reader))
        else:
            self._slot.put(frame)

    def _record_notes(self, reader: _Reader, camera: Camera | None) -> None:
        notes: tuple[str, ...] = getattr(camera, "notes", ())
        with self._lock:
            if notes != self._status.notes and not reader.abandoned.is_set():
                self._status = replace(self._status, notes=notes)

    def _count_opening(self, reader: _Reader) -> None:
        with self._lock:
            if not reader.abandoned.is_set():
                self._status = replace(self._status, openings=self._status.openings + 1)

    def _record_end(self, reader: _Reader, detail: str) -> None:
        if not reader.abandoned.is_set():
            self._set_state(CaptureState.ENDED, detail)
            self._slot.close()

    def _record_loss(self, reader: _Reader, detail: str) -> None:
        with self._lock:
            if not self._must_stop(reader):
                losses = self._status.losses + 1
                self._status = replace(
                    self._status, state=CaptureState.LOST, detail=detail, losses=losses
                )

    @staticmethod
    def _close_quietly(camera: Camera) -> None:
        with suppress(Exception):  # a lost camera often cannot even be closed
            camera.close()

    # The watch thread

    def _watch_reader(self) -> None:
        while not self._closing.wait(self._timings.stall_s / 8):
            reader = self._reader
            step, since_s = reader.activity
            waited_s = time.monotonic() - since_s
            with self._lock:
                self._hanging = [hanging for hanging in self._hanging if hanging.thread.is_alive()]
            if waited_s > self._timings.stalled_after_s(step):
                self._record_stall(waited_s)
            hangs = waited_s > self._timings.hangs_after_s(step)
            if hangs and len(self._hanging) < _MOST_HANGING:
                self._replace_reader(reader, step)

    def _record_stall(self, waited_s: float) -> None:
        with self._lock:
            if self._status.state not in (CaptureState.STALLED, CaptureState.ENDED):
                detail = f"no frame for {waited_s:.1f} s: check the camera's cable"
                stalls = self._status.stalls + 1
                self._status = replace(
                    self._status, state=CaptureState.STALLED, detail=detail, stalls=stalls
                )

    def _replace_reader(self, reader: _Reader, step: _Step) -> None:
        with self._lock:
            reader.abandoned.set()
            self._hanging.append(reader)
            detail = f"the camera hangs in {step}; opening it again"
            self._status = replace(self._status, state=CaptureState.LOST, detail=detail)
            self._reader = _Reader(self._run)
        self._reader.thread.start()

    def _set_state(self, state: CaptureState, detail: str) -> None:
        with self._lock:
            if self._status.state is not CaptureState.ENDED:
                self._status = replace(self._status, state=state, detail=detail)


def _is_picture(grey: object) -> bool:
    """Return whether a decoder accepts ``grey``: (height, width), uint8, not empty."""
    return (
        isinstance(grey, np.ndarray) and grey.ndim == 2 and grey.dtype == np.uint8 and grey.size > 0
    )
