"""A frame as the ladder sees it: the picture, and what the rungs before have learnt about it."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode.quad import is_plausible
from edge.decode.zxing import Located


class Scene:
    """One grey picture, its shared reductions (made once, when first asked for) and the places worth a closer look."""

    def __init__(self, grey: NDArray[np.uint8]) -> None:
        self.grey = grey  # (height, width)
        self.unread: list[Located] = []  # located by a decoder and not read

    @cached_property
    def half(self) -> NDArray[np.uint8]:
        """The picture at half its size, each pixel the mean of four."""
        height, width = self.grey.shape
        size = (max(1, width // 2), max(1, height // 2))
        return np.asarray(cv2.resize(self.grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def note_unread(self, located: tuple[Located, ...]) -> None:
        """Remember where a code was seen and not read."""
        self.unread += [place for place in located if is_plausible(place.quad)]
