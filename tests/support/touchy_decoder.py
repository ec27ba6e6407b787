"""A decoder that one pixel makes crash or hang, for tests of its isolation."""

import os
import time

from edge.decode.live import LiveDecoder

CRASH, HANG = 1, 2


class TouchyDecoder(LiveDecoder):
    """Live decoder that crashes or hangs on a frame with ``CRASH`` or ``HANG`` in its corner."""

    def decode(self, grey):
        if grey[0, 0] == CRASH:
            os.abort()
        if grey[0, 0] == HANG:
            time.sleep(60)
        return super().decode(grey)


def poisoned(grey, effect):
    """Return ``grey`` with ``effect`` (``CRASH`` or ``HANG``) in its corner."""
    bad = grey.copy()
    bad[0, 0] = effect
    return bad


def reads_again(decoder, grey, but=(), within_s=20.0):
    """Decode until codes other than ``but`` are read; return their texts, none when time is up."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        texts = [symbol.text for symbol in decoder.decode(grey)]
        if texts and texts != list(but):
            return texts
        time.sleep(0.01)
    return []
