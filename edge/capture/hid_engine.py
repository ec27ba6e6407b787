"""Scan engine that types like a keyboard, through the kernel's input events (evdev).

The device is grabbed: what the engine types reaches no console and no other program.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from edge.capture.keymap import ENTER, Keyboard
from edge.capture.line_framing import LineFramer
from edge.config import HidEngineSection as Section
from edge.ports import NO_QUAD, EngineError, Symbol

_EV_SYN, _EV_KEY, _SYN_DROPPED, _UP, _DOWN = 0, 1, 3, 0, 1  # linux/input-event-codes.h
_INSTALL: Final = "evdev is not installed: pip install evdev, or apt install python3-evdev"


class HidEngine:
    """``CodeSource`` over a keyboard device."""

    def __init__(
        self, section: Section, *, open_device: Callable[[str], Any] | None = None
    ) -> None:
        """Open and grab ``section.device``. Raises EngineError.

        ``open_device`` opens it; None: ``evdev.InputDevice``.
        """
        self._name = f"scan engine {section.device}"
        self._keyboard = Keyboard(section.layout)
        self._lines = LineFramer()
        self._codes: deque[bytes] = deque()
        self._device: Any = None
        try:
            self._device = (open_device or _input_device())(section.device)
            if not ENTER & set(self._device.capabilities().get(_EV_KEY, ())):
                raise EngineError(
                    f"{self._name} is not a keyboard:"
                    " choose its node under /dev/input/by-id that ends in -kbd"
                )
            self._device.grab()
        except OSError as error:
            self.close()
            raise EngineError(
                f"{self._name} cannot be opened ({error.strerror}):"
                " is it plugged in, not used by another program, and this user in group input?"
            ) from error
        except EngineError:
            self.close()
            raise

    def read(self, timeout_s: float) -> Symbol | None:
        """Wait for the next whole code. Raises EngineError when the engine is unplugged."""
        try:
            if not self._codes and select.select([self._device.fd], [], [], timeout_s)[0]:
                for event in self._device.read():
                    self._process(event)
        except BlockingIOError:  # the event was gone when it was read
            return None
        except (OSError, ValueError) as error:
            raise EngineError(f"{self._name} was unplugged ({error})") from error
        if not self._codes:
            return None
        return Symbol(content=self._codes.popleft(), quad=NO_QUAD, decoder="hid")

    def close(self) -> None:
        """Release the device. Safe to call twice."""
        device, self._device = self._device, None
        if device is not None:
            with suppress(OSError):  # unplugged: it is gone already
                device.ungrab()
            with suppress(OSError):
                device.close()

    def _process(self, event: Any) -> None:
        if event.type == _EV_KEY and event.value == _DOWN:
            typed = self._keyboard.press(event.code)
            self._codes += self._lines.feed(typed.encode(), time.monotonic())
        elif event.type == _EV_KEY and event.value == _UP:
            self._keyboard.release(event.code)
        elif event.type == _EV_SYN and event.code == _SYN_DROPPED:
            # The kernel's buffer overflowed: at least one key event is missing.
            self._lines.reset()
            self._keyboard.resynchronise(set(self._device.active_keys()))


def _input_device() -> Callable[[str], Any]:
    try:
        import evdev
    except ImportError as error:
        raise EngineError(f"{_INSTALL} ({error})") from error
    opener: Callable[[str], Any] = evdev.InputDevice  # typed here: evdev may not be installed
    return opener
