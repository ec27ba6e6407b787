"""Cameras through OpenCV: V4L2 (USB) cameras and video files.

A V4L2 camera is read raw and only its luminance is kept: OpenCV would convert every frame to BGR
first, and a decoder would discard the colours again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import CameraSection
from edge.ports import CameraEnded, CameraError, Exposure, Frame

Grey = NDArray[np.uint8]

_FORMATS = ("GREY", "YUYV", "MJPG")  # cheapest first; MJPG where USB is too slow for the others
_READABLE = (b"GREY", b"YUYV", b"MJPG", b"JPEG", b"NV12", b"NV21", b"YU12", b"YV12")
_DEVICES = Path("/dev")
_MANUAL = 1  # V4L2_EXPOSURE_MANUAL
_AUTO_MODES = (3, 0)  # V4L2_EXPOSURE_APERTURE_PRIORITY, which most cameras have, V4L2_EXPOSURE_AUTO
_UNIT_US = 100  # V4L2_CID_EXPOSURE_ABSOLUTE counts in 100 us
_MOST_DAMAGED = 10  # frames in a row; a USB camera sends a broken one now and then
# Whole seconds; OpenCV's default of 10 hides a dead camera.
_SELECT_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"


class V4l2Camera:
    """``Camera`` over a device /dev/videoN. Supports ``ExposureControl``."""

    def __init__(self, section: CameraSection, *, devices: Path = _DEVICES) -> None:
        """Open camera ``section.index`` of the folder ``devices``. Raises CameraError."""
        os.environ.setdefault(_SELECT_TIMEOUT, "1")  # OpenCV reads it once, at the first frame
        self._name = f"camera /dev/video{section.index}"
        # OpenCV would print a warning on stderr at each try.
        if not (devices / f"video{section.index}").exists():
            raise CameraError(f"{self._name} does not exist: is it plugged in?")
        self._video = cv2.VideoCapture(section.index, cv2.CAP_V4L2)
        if not self._video.isOpened():
            raise CameraError(
                f"{self._name} cannot be opened: is this user in group video? is it in use?"
            )
        self._video.set(cv2.CAP_PROP_BUFFERSIZE, 2)  # no queue of old frames
        self._choose_format(section)
        self._section = section
        mode = self._get(cv2.CAP_PROP_AUTO_EXPOSURE)
        self._auto_modes = (mode,) if mode in _AUTO_MODES else _AUTO_MODES
        if section.exposure_us is not None or section.bracket:
            self.expose(None)  # a camera keeps the exposure that was set before a crash
        readable = self._get(cv2.CAP_PROP_FOURCC).to_bytes(4, "little", signed=False) in _READABLE
        self._raw = readable and self._video.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        self._number = -1

    def _choose_format(self, section: CameraSection) -> None:
        """Set the first format that the camera has at the wanted size and rate.

        A camera that has none of them keeps the last one tried.
        """
        for name in _FORMATS:
            code = cv2.VideoWriter.fourcc(*name)
            self._video.set(cv2.CAP_PROP_FOURCC, code)
            self._video.set(cv2.CAP_PROP_FRAME_WIDTH, section.width_px)
            self._video.set(cv2.CAP_PROP_FRAME_HEIGHT, section.height_px)
            self._video.set(cv2.CAP_PROP_FPS, section.frame_rate_hz)
            given = (self._get(cv2.CAP_PROP_FOURCC), *self._size())
            fast_enough = self._video.get(cv2.CAP_PROP_FPS) >= 0.9 * min(section.frame_rate_hz, 30)
            if given == (code, section.height_px, section.width_px) and fast_enough:
                return

    def read(self) -> Frame:
        """Wait for a whole frame, about a second at most. Raises CameraError if none came."""
        for _ in range(_MOST_DAMAGED):
            came, picture = self._video.read()
            if not came or picture is None:
                raise CameraError(f"{self._name} gives no frames: check its plug")
            self._number += 1
            grey = luminance(
                np.asarray(picture),
                self._get(cv2.CAP_PROP_FOURCC) if self._raw else 0,
                self._size(),
            )
            if grey is not None:
                captured_ns = time.monotonic_ns()
                return Frame(
                    grey=grey,
                    number=self._number,
                    captured_ns=captured_ns,
                    exposure=self._exposure(),
                )
        raise CameraError(
            f"{self._name} sends damaged frames only: check its cable, or try another USB port"
        )

    def expose(self, wanted: Exposure | None) -> None:
        """Set the exposure of the next frames, not the gain; None: the exposure of the profile."""
        time_us = self._section.exposure_us if wanted is None else wanted.light
        if time_us is None:
            # Set the first mode that the camera has.
            any(self._video.set(cv2.CAP_PROP_AUTO_EXPOSURE, mode) for mode in self._auto_modes)
            return
        self._video.set(cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL)
        self._video.set(cv2.CAP_PROP_EXPOSURE, max(1, round(time_us / _UNIT_US)))

    def _exposure(self) -> Exposure | None:
        """Return the exposure that the camera reports; None where it reports none."""
        units = self._video.get(cv2.CAP_PROP_EXPOSURE) if self._section.bracket else 0
        return Exposure(units * _UNIT_US, 1.0) if units > 0 else None

    def close(self) -> None:
        """Release the device."""
        self._video.release()

    def _get(self, prop: int) -> int:
        return int(self._video.get(prop))

    def _size(self) -> tuple[int, int]:
        return self._get(cv2.CAP_PROP_FRAME_HEIGHT), self._get(cv2.CAP_PROP_FRAME_WIDTH)


class VideoFile:
    """``Camera`` over a recorded video."""

    def __init__(self, path: Path) -> None:
        """Open the video. Raises CameraError."""
        if not path.is_file():
            raise CameraError(f"{path} does not exist: give a video file")
        self._path = path
        self._video = cv2.VideoCapture(str(path))
        if not self._video.isOpened():
            raise CameraError(f"{path} is not a video that OpenCV can read")
        self._number = -1

    def read(self) -> Frame:
        """Return the next frame at once. Raises CameraEnded after the last."""
        came, picture = self._video.read()
        if not came or picture is None:
            raise CameraEnded(f"{self._path} ended after {self._number + 1} frames")
        self._number += 1
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture
        return Frame(
            grey=np.asarray(grey, dtype=np.uint8),
            number=self._number,
            captured_ns=time.monotonic_ns(),
        )

    def close(self) -> None:
        """Release the file."""
        self._video.release()


def luminance(picture: NDArray[Any], fourcc: int, size: tuple[int, int]) -> Grey | None:
    """Return the luminance (height, width) of a raw V4L2 buffer; None when the frame is damaged.

    ``picture``: the bytes in any shape (OpenCV returns raw buffers flat); ``size``: (height,
    width), rows may be padded; ``fourcc``: their V4L2 pixel format, 0 for a BGR picture that
    OpenCV has converted.
    """
    height, width = size
    match fourcc.to_bytes(4, "little"):
        case b"MJPG" | b"JPEG":
            decoded = cv2.imdecode(picture.reshape(-1), cv2.IMREAD_GRAYSCALE)
            return None if decoded is None else np.asarray(decoded, dtype=np.uint8)
        case b"YUYV":
            return _first_plane(picture, height, width, step=2, rows=height)
        case b"GREY":
            return _first_plane(picture, height, width, step=1, rows=height)
        case b"NV12" | b"NV21" | b"YU12" | b"YV12":
            return _first_plane(picture, height, width, step=1, rows=height * 3 // 2)
        case _:
            return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def _first_plane(
    picture: NDArray[Any], height: int, width: int, *, step: int, rows: int
) -> Grey | None:
    """Return the luminance of ``rows`` rows of bytes, every ``step``-th of which is luminance."""
    flat = picture.reshape(-1)
    stride = flat.size // rows
    if stride < width * step:
        return None
    plane = flat[: stride * rows].reshape(rows, stride)[:height, : width * step : step]
    return np.ascontiguousarray(plane, dtype=np.uint8)
