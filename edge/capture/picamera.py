"""The Raspberry Pi's own cameras, through picamera2, which is imported when a camera is opened.

The main stream is YUV420, whose first plane *is* the grey picture: no colour is ever converted.
picamera2 returns the buffer as (height * 3 / 2, stride) with the rows padded to ``stride`` bytes
(picamera2 0.3, request.py, ``Helpers._make_array_shared``).
"""

from __future__ import annotations

import time
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config import CameraSection
from edge.ports import CameraError, Exposure, Frame

_EXPOSURE = {"ExposureTime", "AnalogueGain"}
_BUFFERS = 4  # one in use here, one finished, two with the sensor
_INSTALL = (
    "picamera2 is not installed:"
    " apt install python3-picamera2, and a venv with --system-site-packages"
)


class PiCamera:
    """``Camera`` over a CSI camera. Supports ``ExposureControl``.

    One thread reads. After any CameraError, close it and open a new one.
    """

    def __init__(self, section: CameraSection) -> None:
        """Open and start camera ``section.index``. Raises CameraError.

        Controls that this camera does not have (autofocus on a fixed lens) are left out and listed
        in ``unsupported``: scanning with the wrong focus is better than not scanning.
        """
        picamera2, libcamera = _libraries()
        self._mapped_array = picamera2.MappedArray
        self._section = section
        self._timeout_s = 2 * section.stall_s  # the capture worker names the stall first
        self._number = -1
        self.unsupported: tuple[str, ...] = ()
        self._camera: Any = None
        try:
            self._camera = picamera2.Picamera2(camera_num=section.index)
            self._start(section, libcamera)
        except CameraError:
            self.close()
            raise
        except Exception as error:  # picamera2, libcamera: RuntimeError, IndexError, OSError, ...
            self.close()
            raise CameraError(
                f"camera {section.index} cannot be started ({error}): check its cable"
            ) from error

    def _start(self, section: CameraSection, libcamera: ModuleType) -> None:
        wanted = controls(section, libcamera)
        known = {
            name: value for name, value in wanted.items() if name in self._camera.camera_controls
        }
        self.unsupported = tuple(sorted(wanted.keys() - known.keys()))
        configuration = self._camera.create_video_configuration(
            main={"format": "YUV420", "size": (section.width_px, section.height_px)},
            buffer_count=_BUFFERS,
            controls=known,
        )
        self._camera.configure(configuration)
        stream = self._camera.stream_configuration("main")  # as adjusted to the camera's abilities
        if stream["format"] != "YUV420":
            raise CameraError(
                f'camera {section.index} gives {stream["format"]}, not YUV420: use source = "v4l2"'
            )
        self._exposable = self._camera.camera_controls.keys() >= _EXPOSURE
        self._width, self._height = stream["size"]
        self._camera.start()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return which settings of the profile this camera does not have."""
        return (
            (f"this camera has no {', '.join(self.unsupported)}: see [camera]",)
            if self.unsupported
            else ()
        )

    def read(self) -> Frame:
        """Wait for the next frame. Raises CameraError when none comes for twice ``stall_s``."""
        try:
            job = self._camera.capture_request(wait=False)
            request = self._camera.wait(job, timeout=self._timeout_s)
        except TimeoutError:
            raise CameraError(
                f"no frame for {self._timeout_s:.1f} s: check the camera's cable"
            ) from None
        except Exception as error:  # the camera's event loop raises anything
            raise CameraError(f"the camera failed: {error}") from error
        try:
            grey = self._grey(request)
            exposure = self._exposure(request)
        finally:
            request.release()
        # ``frames`` counts what the camera made since it started.
        self._number = max(self._number + 1, self._camera.frames)
        return Frame(
            grey=grey, number=self._number, captured_ns=time.monotonic_ns(), exposure=exposure
        )

    def _grey(self, request: Any) -> NDArray[np.uint8]:
        """Return a copy of the Y plane, and only it, of the camera's buffer."""
        with self._mapped_array(request, "main", write=False) as mapped:
            plane: NDArray[np.uint8] = mapped.array[: self._height, : self._width].copy()
        return plane

    def _exposure(self, request: Any) -> Exposure | None:
        if not self._section.bracket or not self._exposable:
            return None
        metadata = request.get_metadata()
        if not metadata.keys() >= _EXPOSURE:
            return None
        return Exposure(float(metadata["ExposureTime"]), float(metadata["AnalogueGain"]))

    def expose(self, wanted: Exposure | None) -> None:
        """Set the exposure of the next frames; None: the exposure of the profile.

        0 gives that half back to the automatic exposure (picamera2 0.3, request.py,
        ``CompletedRequest.release``).
        """
        if not self._exposable:
            return
        time_us = wanted.time_us if wanted else self._section.exposure_us or 0
        gain = wanted.gain if wanted else self._section.analogue_gain or 0
        self._camera.set_controls({"ExposureTime": round(time_us), "AnalogueGain": float(gain)})

    def close(self) -> None:
        """Stop and release the camera. Safe to call twice."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.cancel_all_and_flush()  # else a capture that timed out delays the stop
            with suppress(RuntimeError):  # the camera is gone
                camera.close()


def controls(section: CameraSection, libcamera: ModuleType) -> dict[str, Any]:
    """Return the profile's settings as libcamera controls.

    A fixed exposure or gain switches off that half of the automatic exposure by itself (picamera2
    sets ExposureTimeMode and AnalogueGainMode); AeEnable = False would freeze both.
    """
    frame_us = round(1_000_000 / section.frame_rate_hz)
    wanted: dict[str, Any] = {"FrameDurationLimits": (frame_us, frame_us)}
    if section.exposure_us is None and section.analogue_gain is None:
        wanted["AeEnable"] = True
    if section.exposure_us is not None:
        wanted["ExposureTime"] = section.exposure_us
    if section.analogue_gain is not None:
        wanted["AnalogueGain"] = section.analogue_gain
    match section.autofocus:
        case "continuous":
            wanted["AfMode"] = libcamera.controls.AfModeEnum.Continuous
        case "manual":
            wanted["AfMode"] = libcamera.controls.AfModeEnum.Manual
            wanted["LensPosition"] = section.lens_position_dioptre
        case "none":
            pass
    return wanted


def _libraries() -> tuple[ModuleType, ModuleType]:
    try:
        import libcamera
        import picamera2
    except ImportError as error:
        raise CameraError(f"{_INSTALL} ({error})") from error
    return picamera2, libcamera
