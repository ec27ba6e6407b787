"""gpiozero's pin factory, chosen as gpiozero chooses it (GPIOZERO_PIN_FACTORY).

Every device gets its factory as an argument, so that two can exist together and tests need no
globals.
"""

from __future__ import annotations

import warnings
from typing import Any

from edge.values.errors import EdgeError


class PinsUnavailableError(EdgeError):
    """There is no GPIO, or no permission to use it. The message says what to do."""


def open_pin_factory() -> Any:
    """Return a gpiozero pin factory (a ``gpiozero.Factory``). Raises PinsUnavailableError.

    With ``GPIOZERO_PIN_FACTORY=mock`` there is no hardware and pins live in memory.
    """
    from gpiozero import Device

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gpiozero warns for each library that it tries
            Device.ensure_pin_factory()
    except Exception as error:  # of the pin library: ImportError, OSError, RuntimeError, ...
        raise PinsUnavailableError(
            f"no GPIO on this machine ({error}): on a Raspberry Pi install python3-lgpio and put"
            " this user into group gpio; elsewhere set GPIOZERO_PIN_FACTORY=mock"
        ) from error
    _without_glitch(Device.pin_factory)
    return Device.pin_factory


def _without_glitch(factory: Any) -> None:
    """Make lgpio claim an output and set its level in one step.

    gpiozero 2.0 claims an lgpio output low and then sets its level (pins/lgpio.py,
    ``_set_function``): for a relay that is active low, that is a pulse at every start. Its Pin
    class allows the override: "descendents may override this in order to provide the smallest
    possible delay".
    """
    if type(factory).__name__ != "LGPIOFactory":
        return
    import lgpio

    class SteadyPin(factory.pin_class):  # type: ignore[misc]  # the class is known only at run time
        def output_with_state(self, state: bool) -> None:
            lgpio.gpio_claim_output(self.factory._handle, self._number, int(state))

    factory.pin_class = SteadyPin
