"""Camera in memory: frames of a scene that another thread may change, and camera failures."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge.ports import CameraError, Exposure, Frame
from hardware_sim.vision import image_sensor
from hardware_sim.vision.render import draw, empty
from hardware_sim.vision.view_condition import CLEAN, ViewCondition

# Pictures drawn of one scene and shown in turn: noise and tremor without drawing every frame.
_VARIANTS = 3


class CameraScene:
    """The scene before the lens, and the state of the camera. Outlives the cameras opened on it."""

    def __init__(self, *, width_px: int = 1280, height_px: int = 720, seed: int = 0) -> None:
        self.size = (width_px, height_px)
        self._rng = np.random.default_rng(seed)
        self._changed = threading.Condition()
        self._plugged, self._stalled = True, False
        self._empty = [empty(CLEAN, rng=self._rng, width_px=width_px, height_px=height_px)]
        self._pictures: list[NDArray[np.uint8]] = self._empty
        self._light: image_sensor.Light | None = None
        self.owners = 0  # cameras open on this scene
        self.most_owners = 0

    def show(
        self, text: str | bytes, condition: ViewCondition = CLEAN, *, variants: int = _VARIANTS
    ) -> None:
        """Hold a code before the lens."""
        self.show_many([(text, condition)], variants=variants)

    def show_many(
        self, codes: Iterable[tuple[str | bytes, ViewCondition]], *, variants: int = _VARIANTS
    ) -> None:
        """Hold several codes before the lens, side by side."""
        listed = list(codes)
        width_px, height_px = self.size
        pictures = [
            draw(listed, rng=self._rng, width_px=width_px, height_px=height_px).grey
            for _ in range(variants)
        ]
        self._set(pictures)

    def show_frame(self, grey: NDArray[np.uint8]) -> None:
        """Show a picture unchanged, whatever its size."""
        self._set([grey])

    def show_frames(self, frames: Iterable[NDArray[np.uint8]]) -> None:
        """Show frames in turn, repeatedly."""
        self._set(list(frames))

    def show_light(self, light: image_sensor.Light) -> None:
        """Show light that the camera exposes, until something else is shown."""
        with self._changed:
            self._light = light

    def clear(self) -> None:
        """Remove everything: show the empty scene."""
        self._set(self._empty)

    def unplug(self) -> None:
        """Pull the cable: reading and opening fail."""
        self._set_state(plugged=False, stalled=False)

    def stall(self) -> None:
        """Stop the frames: a read blocks until ``replug``."""
        self._set_state(plugged=True, stalled=True)

    def replug(self) -> None:
        """Restore the camera after ``unplug`` or ``stall``."""
        self._set_state(plugged=True, stalled=False)

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Return the picture of frame ``number``. Blocks while stalled.

        Raises CameraError when unplugged.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._stalled)
            if not self._plugged:
                raise CameraError("the camera is unplugged")
            return self._pictures[number % len(self._pictures)]

    def expose(
        self, number: int, exposure: Exposure | None
    ) -> tuple[NDArray[np.uint8], Exposure | None]:
        """Return the picture of frame ``number`` and its exposure, None where no light is shown.

        Blocks and raises as ``picture`` does.
        """
        picture, light = self.picture(number), self._light
        if light is None:
            return picture, None
        used = exposure or image_sensor.automatic(light)
        return image_sensor.expose(light, used, self._rng), used

    def attach(self) -> None:
        """Count a camera that opens. Raises CameraError when unplugged."""
        with self._changed:
            if not self._plugged:
                raise CameraError("there is no camera: check its cable")
            self.owners += 1
            self.most_owners = max(self.most_owners, self.owners)

    def detach(self) -> None:
        """Count a camera that closes."""
        with self._changed:
            self.owners -= 1

    def _set(self, pictures: list[NDArray[np.uint8]]) -> None:
        with self._changed:
            self._pictures, self._light = pictures, None

    def _set_state(self, *, plugged: bool, stalled: bool) -> None:
        with self._changed:
            self._plugged, self._stalled = plugged, stalled
            self._changed.notify_all()


class SimCamera:
    """Implements ``Camera``: reads ``scene`` at a steady frame rate."""

    def __init__(self, scene: CameraScene, *, frame_rate_hz: float = 30.0) -> None:
        """Open the camera. Raises CameraError when it is unplugged."""
        scene.attach()
        self._scene: CameraScene | None = scene
        self._period_s = 1 / frame_rate_hz
        self._due_s = time.monotonic()
        self._number = -1
        self._requested: deque[Exposure | None] = deque(  # newest last
            [None] * (image_sensor.LAG + 1), image_sensor.LAG + 1
        )

    def expose(self, wanted: Exposure | None) -> None:
        """Set the exposure of later frames, after a lag; None: automatic."""
        self._requested[-1] = wanted

    def read(self) -> Frame:
        """Sleep until the next frame is due and return it. Its picture is shared: read it only."""
        if self._scene is None:
            raise CameraError("the camera is closed")
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        # A late reader has missed frames: the number counts them too.
        missed = max(0, int((time.monotonic() - self._due_s) / self._period_s))
        self._due_s += (1 + missed) * self._period_s
        self._number += 1 + missed
        picture, exposure = self._scene.expose(self._number, self._requested[0])
        self._requested.append(self._requested[-1])
        return Frame(
            grey=picture, number=self._number, captured_ns=time.monotonic_ns(), exposure=exposure
        )

    def close(self) -> None:
        """Release the scene. Safe to call twice."""
        scene, self._scene = self._scene, None
        if scene is not None:
            scene.detach()
