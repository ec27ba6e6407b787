"""The names of what keeps a code in view from being read; ``edge.decode.diagnosis`` finds out which it is."""

from __future__ import annotations

from enum import StrEnum


class Hint(StrEnum):
    """What is wrong with the view of a code."""

    TOO_FAR = "too_far"
    TOO_DARK = "too_dark"
    GLARE = "glare"
    BLURRED = "blurred"
    CUT_OFF = "cut_off"
