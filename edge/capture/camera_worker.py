"""The capture thread: keeps a camera open and its newest frame in a slot, and says how the camera is.

Each camera is opened, read and closed by one reader thread. A watch thread looks at the readers' progress:

* no frame for ``stall_s``: the state is ``STALLED`` (noticed even when ``read`` never returns);
* a read that comes back with a frame after all: ``STREAMING`` again, same camera;
* a read that raises: the reader closes the camera and opens a new one, with growing pauses: ``LOST``;
* a read that still hangs after ``replace_after_s``: that reader is abandoned and a fresh one opens the
  camera. The abandoned one closes its camera as soon as its read returns. A device that allows one
  owner refuses the fresh reader until then, which is a failed opening like any other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

import numpy as np

from edge.capture.capture_status import CaptureState, CaptureStatus
from edge.capture.latest_frame import LatestFrame
from edge.ports import Camera, CameraEnded, CameraError, Exposes, Exposure, Frame

_MOST_HANGING = 3  # abandoned readers at a time; beyond, only a restart of the process helps


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureTimings:
    """How long the worker waits for what, in seconds."""

    stall_s: float = 0.8  # no frame: stalled
    first_frame_s: float = 2.5  # the same for the first frame, which takes longer to come
    replace_after_s: float = 3.0  # a read or close that hangs: a fresh reader
    open_s: float = 15.0  # an opening, or a first read, that hangs: a fresh reader
    first_pause_s: float = 0.25  # before opening again; doubles
    longest_pause_s: float = 2.0

    def stalled_after_s(self, doing: _Doing) -> float:
        """How long ``doing`` may last before the camera counts as stalled."""
        return {_Doing.FIRST_READ: self.first_frame_s, _Doing.READ: self.stall_s}.get(doing, inf)

    def hangs_after_s(self, doing: _Doing) -> float:
        """How long ``doing`` may last before a fresh reader takes over."""
        slow = {_Doing.OPEN: self.open_s, _Doing.FIRST_READ: self.open_s}
        return {**slow, _Doing.READ: self.replace_after_s, _Doing.CLOSE: self.replace_after_s}.get(
            doing, inf
        )


class _Doing(StrEnum):
    OPEN = "open"
    FIRST_READ = "first read"
    READ = "read"
    HAND_OVER = "hand over"
    CLOSE = "close"
    PAUSE = "pause"


class _Reader:
    """One thread, and what it has been doing since when: one tuple, so that the watch thread reads both at once."""

    def __init__(self, run: Callable[[_Reader], None]) -> None:
        self.abandoned = threading.Event()
        self.activity = (_Doing.PAUSE, time.monotonic())
        self.thread = threading.Thread(target=run, args=(self,), name="capture-reader", daemon=True)

    def starts(self, doing: _Doing) -> None:
        self.activity = (doing, time.monotonic())


class CaptureWorker:
    """Frames from a camera that may come and go. Close it, or use it as a context manager."""

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        *,
        patience: CaptureTimings | None = None,
        every_frame: bool = False,
    ) -> None:
        """``open_camera`` opens the device anew at each call, or raises CameraError.

        ``every_frame``: wait for each frame to be taken instead of dropping it (files and folders).
        """
        self._open_camera = open_camera
        self._patience = patience or CaptureTimings()
        self._every_frame = every_frame
        self._slot = LatestFrame()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._status = CaptureStatus(
            state=CaptureState.STARTING, detail="opening the camera", frames=0, dropped=0, openings=0, stalls=0,
            losses=0, hanging=0,
        )  # fmt: skip
        self._last_number = -1
        self._wanted: Exposure | None = None
        self._hanging: list[_Reader] = []
        self._reader = _Reader(self._run)
        # A folder of large pictures may be slow; reading it again from the start would show codes twice.
        self._watched = not every_frame
        self._watch = threading.Thread(target=self._watch_reader, name="capture-watch", daemon=True)

    def start(self) -> None:
        """Begin to capture. Returns at once; a camera that cannot be opened shows in ``status``."""
        self._reader.thread.start()
        if self._watched:
            self._watch.start()

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Take the newest frame, waiting up to ``timeout_s``. None: none came, see ``status``."""
        return self._slot.next_frame(timeout_s)

    def expose(self, wanted: Exposure | None) -> None:
        """Have the frames to come exposed like this, where the camera can; None: as the profile says."""
        self._wanted = wanted

    def status(self) -> CaptureStatus:
        """How the camera is now, with counts since the start."""
        with self._lock:
            return replace(self._status, dropped=self._slot.dropped, hanging=len(self._hanging))

    def close(self) -> None:
        """Stop and release the camera. Waits shortly for a hanging read, then leaves it behind. Safe to call twice."""
        self._closing.set()
        self._slot.close()
        with self._lock:
            threads = (self._reader.thread, self._watch)
        for thread in threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(self._patience.replace_after_s)
        self._tell(CaptureState.ENDED, "closed")

    def __enter__(self) -> CaptureWorker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The reader thread

    def _run(self, me: _Reader) -> None:
        pause_s = self._patience.first_pause_s
        while not self._gone(me):
            came = self._serve(me)
            if came is None:  # ended
                return
            if came:
                pause_s = self._patience.first_pause_s
            me.starts(_Doing.PAUSE)
            if self._closing.wait(pause_s):
                return
            pause_s = min(2 * pause_s, self._patience.longest_pause_s)

    def _serve(self, me: _Reader) -> bool | None:
        """Open, read to the end of the camera's life, close. True: frames came; None: nothing more will."""
        camera: Camera | None = None
        frames_before = self._last_number
        try:
            me.starts(_Doing.OPEN)
            camera = self._open_camera()
            self._count_opening(me)
            me.starts(_Doing.FIRST_READ)
            told = self._wanted = None  # it was opened as the profile says
            while not self._gone(me):
                if isinstance(camera, Exposes) and told != self._wanted:
                    told = self._wanted
                    with suppress(Exception):  # a picture exposed badly beats none
                        camera.expose(told)
                self._hand_over(me, camera.read())
                self._note(me, camera)
                me.starts(_Doing.READ)
        except CameraEnded as end:
            self._note(me, camera)
            self._end(me, str(end))
            return None
        except CameraError as error:
            self._lose(me, str(error))
        except Exception as error:  # noqa: BLE001 - a driver may raise anything; the scanner must outlive it
            self._lose(me, f"camera failed: {type(error).__name__}: {error}")
        finally:
            if camera is not None:
                me.starts(_Doing.CLOSE)
                self._close_quietly(camera)
        return self._last_number != frames_before

    def _gone(self, me: _Reader) -> bool:
        return self._closing.is_set() or me.abandoned.is_set()

    def _hand_over(self, me: _Reader, frame: Frame) -> None:
        if not _is_picture(frame.grey):
            raise CameraError(
                "the camera sends something that is no grey picture: try another format or port"
            )
        with self._lock:
            if me.abandoned.is_set():
                return
            if frame.number <= self._last_number:  # a camera opened again counts from its own start
                frame = replace(frame, number=self._last_number + 1)
            self._last_number = frame.number
            self._status = replace(
                self._status,
                state=CaptureState.STREAMING,
                detail="",
                frames=self._status.frames + 1,
            )
        me.starts(_Doing.HAND_OVER)
        if self._every_frame:
            self._slot.put_when_taken(frame, given_up=lambda: self._gone(me))
        else:
            self._slot.put(frame)

    def _note(self, me: _Reader, camera: Camera | None) -> None:
        notes: tuple[str, ...] = getattr(camera, "notes", ())
        with self._lock:
            if notes != self._status.notes and not me.abandoned.is_set():
                self._status = replace(self._status, notes=notes)

    def _count_opening(self, me: _Reader) -> None:
        with self._lock:
            if not me.abandoned.is_set():
                self._status = replace(self._status, openings=self._status.openings + 1)

    def _end(self, me: _Reader, detail: str) -> None:
        if not me.abandoned.is_set():
            self._tell(CaptureState.ENDED, detail)
            self._slot.close()

    def _lose(self, me: _Reader, detail: str) -> None:
        with self._lock:
            if not me.abandoned.is_set() and not self._closing.is_set():
                losses = self._status.losses + 1
                self._status = replace(
                    self._status, state=CaptureState.LOST, detail=detail, losses=losses
                )

    @staticmethod
    def _close_quietly(camera: Camera) -> None:
        with suppress(Exception):  # a lost camera often cannot even be closed; it is gone already
            camera.close()

    # The watch thread

    def _watch_reader(self) -> None:
        while not self._closing.wait(self._patience.stall_s / 8):
            reader = self._reader
            doing, since_s = reader.activity
            waited_s = time.monotonic() - since_s
            with self._lock:
                self._hanging = [hanging for hanging in self._hanging if hanging.thread.is_alive()]
            if waited_s > self._patience.stalled_after_s(doing):
                self._stall(waited_s)
            if (
                waited_s > self._patience.hangs_after_s(doing)
                and len(self._hanging) < _MOST_HANGING
            ):
                self._replace(reader, doing)

    def _stall(self, waited_s: float) -> None:
        with self._lock:
            if self._status.state not in (CaptureState.STALLED, CaptureState.ENDED):
                detail = f"no frame for {waited_s:.1f} s: check the camera's cable"
                stalls = self._status.stalls + 1
                self._status = replace(
                    self._status, state=CaptureState.STALLED, detail=detail, stalls=stalls
                )

    def _replace(self, reader: _Reader, doing: _Doing) -> None:
        with self._lock:
            reader.abandoned.set()
            self._hanging.append(reader)
            detail = f"the camera hangs in {doing}; opening it again"
            self._status = replace(self._status, state=CaptureState.LOST, detail=detail)
            self._reader = _Reader(self._run)
        self._reader.thread.start()

    def _tell(self, state: CaptureState, detail: str) -> None:
        with self._lock:
            if self._status.state is not CaptureState.ENDED:
                self._status = replace(self._status, state=state, detail=detail)


def _is_picture(grey: object) -> bool:
    """Whether ``grey`` is what decoders take: (height, width), uint8, not empty."""
    return (
        isinstance(grey, np.ndarray) and grey.ndim == 2 and grey.dtype == np.uint8 and grey.size > 0
    )
