"""Lock relays on GPIO pins, fail-secure: energised only within a pulse.

Several guards end a pulse, from the inside out:

* the ``finally`` of ``pulse``;
* a timer thread started *before* the relay is energised;
* ``close``;
* at every start, all pins are driven inactive before anything else;
* ``python -m edge.bootstrap.release_locks``, which the service manager runs after the process
  ended for any reason.

SIGKILL or a kernel panic in the middle of a pulse leaves the pin as it was until then (Raspberry
Pi's kernels keep an output's level when its owner is gone, raspberrypi/linux pull 6150). Only
hardware limits that. Use a one-shot relay or a lock that tolerates being energised, a resistor that
pulls the relay's input inactive, and for relays that are active high the pins GPIO 9 to 27, which
the chip pulls low while it boots (it pulls 0 to 8 high).
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from typing import Any

from edge.config import LockerSection
from edge.ports import LockError

_GUARD_AFTER = 1.25  # of the pulse length: the timer that ends a pulse whose thread does not


class GpioLock:
    """``Lock`` over one relay a compartment; it pulses one compartment at a time."""

    def __init__(self, section: LockerSection, *, pin_factory: Any) -> None:
        """Claim the pins, all inactive. Raises LockError, and then holds no pin."""
        from gpiozero import DigitalOutputDevice

        self._pulse_s = section.pulse_ms / 1000
        self._relays: dict[str, Any] = {}
        self._one_at_a_time = threading.Lock()
        self._closing = threading.Event()
        with ExitStack() as undo:
            undo.callback(self._release_all)
            for name, compartment in section.compartments.items():
                try:
                    self._relays[name] = DigitalOutputDevice(
                        compartment.lock_pin,
                        active_high=section.active_high,
                        initial_value=False,
                        pin_factory=pin_factory,
                    )
                except Exception as error:  # gpiozero's errors and those of the pin library
                    raise LockError(
                        f"lock {name} on pin {compartment.lock_pin}: {error}"
                    ) from error
            undo.pop_all()

    def compartments(self) -> frozenset[str]:
        """Return the compartments that have a relay."""
        return frozenset(self._relays)

    def pulse(self, compartment: str) -> None:
        """Energise the relay for the pulse length; return once it is off again.

        Waits for another compartment's pulse to end first. Raises LockError when the compartment is
        unknown, the lock is closed, or the relay could not be driven (then the door may be open).
        """
        relay = self._relays.get(compartment)
        if relay is None:
            raise LockError(
                f"there is no compartment {compartment!r}: it has no lock_pin in the profile"
            )
        with self._one_at_a_time:
            if self._closing.is_set():
                raise LockError("the lock is closed")
            guard = threading.Timer(_GUARD_AFTER * self._pulse_s, self._release, (relay,))
            guard.daemon = True
            try:
                guard.start()  # first: without a guard nothing is energised
                relay.on()
                self._closing.wait(self._pulse_s)
            except Exception as error:
                raise LockError(f"lock {compartment} could not be driven: {error}") from error
            finally:
                self._release(relay)
                guard.cancel()
            if relay.value:
                raise LockError(
                    f"lock {compartment} is still energised: cut its power, then check the relay"
                )

    def close(self) -> None:
        """End a pulse in progress, de-energise all, release the pins. Safe to call twice."""
        self._closing.set()
        with self._one_at_a_time:
            self._release_all()

    def _release_all(self) -> None:
        for relay in self._relays.values():
            self._release(relay)
        for relay in self._relays.values():
            relay.close()

    @staticmethod
    def _release(relay: Any) -> None:
        """De-energise, with three tries: one failed write must not leave a lock energised."""
        for _ in range(3):
            with suppress(Exception):  # a released pin cannot be driven and carries no current
                relay.off()
                return
