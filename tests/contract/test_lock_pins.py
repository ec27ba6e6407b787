"""Fail-secure, pin by pin: the lock's pins at the start, at the end and after failures."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from edge.config import LockerSection
from edge.devices import pin_factory
from edge.devices.gpio_lock import GpioLock
from edge.ports import LockError
from tests.support.paths import ROOT

DOORS = {"A1": {"lock_pin": 17}, "A2": {"lock_pin": 18}}


def section(**changes):
    return LockerSection.model_validate({"compartments": DOORS, "pulse_ms": 40, **changes})


def history(factory, pin=17):
    return [state.state for state in factory.pin(pin).states]


def test_the_pin_is_high_for_the_pulse_and_low_before_and_after():
    factory = MockFactory()
    lock = GpioLock(section(), pin_factory=factory)
    lock.pulse("A1")
    lock.close()
    assert history(factory, 17) == [False, True, False]
    assert history(factory, 18) == [False]
    assert factory.pin(17).states[-1].timestamp >= 0.04


def test_a_pulse_that_python_interrupts_still_ends():
    factory = MockFactory()
    lock = GpioLock(section(pulse_ms=5000), pin_factory=factory)
    lock._closing.wait = _raise(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        lock.pulse("A1")
    assert history(factory) == [False, True, False]


def test_a_pulse_whose_thread_hangs_is_ended_by_the_guard():
    factory = MockFactory()
    lock = GpioLock(section(), pin_factory=factory)
    hang = threading.Event()
    lock._closing.wait = lambda _: hang.wait()
    stuck = threading.Thread(target=lock.pulse, args=("A1",), daemon=True)
    stuck.start()
    time.sleep(0.2)
    assert stuck.is_alive()
    assert history(factory) == [False, True, False]
    assert factory.pin(17).states[-1].timestamp < 0.15
    hang.set()
    stuck.join()


def test_without_a_guard_nothing_is_energised(monkeypatch):
    factory = MockFactory()
    lock = GpioLock(section(), pin_factory=factory)
    monkeypatch.setattr(threading.Timer, "start", _raise(RuntimeError("can't start new thread")))
    with pytest.raises(LockError, match="can't start new thread"):
        lock.pulse("A1")
    assert history(factory) == [False]


class FlakyPin(MockPin):
    """A pin whose next ``failures`` writes fail."""

    failures = 0

    def _set_state(self, value):
        if not value and type(self).failures:
            type(self).failures -= 1
            raise OSError("I/O error")
        super()._set_state(value)


def test_a_failed_write_does_not_leave_the_lock_energised(monkeypatch):
    factory = MockFactory(pin_class=FlakyPin)
    lock = GpioLock(section(), pin_factory=factory)
    monkeypatch.setattr(FlakyPin, "failures", 2)
    lock.pulse("A1")
    assert history(factory) == [False, True, False]


def test_a_relay_that_stays_energised_is_an_error(monkeypatch):
    factory = MockFactory(pin_class=FlakyPin)
    lock = GpioLock(section(), pin_factory=factory)
    monkeypatch.setattr(FlakyPin, "failures", 3)
    with pytest.raises(LockError, match="is still energised"):
        lock.pulse("A1")
    lock.close()
    assert history(factory)[-1] is False


def test_when_one_pin_cannot_be_claimed_all_are_released():
    factory = MockFactory()
    other = GpioLock(
        LockerSection.model_validate({"compartments": {"B1": {"lock_pin": 18}}}),
        pin_factory=factory,
    )
    with pytest.raises(LockError, match="A2 on pin 18") as caught:
        GpioLock(section(), pin_factory=factory)
    other.close()
    GpioLock(section(), pin_factory=factory).close()  # 17 is free while the error still exists
    del caught


def test_every_start_and_release_drives_a_pin_left_high_inactive(tmp_path):
    factory = MockFactory()
    pin = factory.pin(17)  # as a killed process left it
    pin.function = "output"
    pin.state = True
    GpioLock(section(), pin_factory=factory).close()
    assert history(factory) == [False, True, False]


def run_release(tmp_path, text, factory="mock"):
    profile = tmp_path / "profile.toml"
    profile.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "edge.bootstrap.release_locks", "--profile", str(profile)]
    env = {"GPIOZERO_PIN_FACTORY": factory, "PATH": ""}
    return subprocess.run(
        command, check=False, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30
    )


HEAD = '[device]\nid = "d"\nsite = "s"\nkind = "locker"\n[trust]\nroots_file = "r"\n'


@pytest.mark.parametrize(
    ("text", "factory", "code", "says"),
    [
        pytest.param(
            HEAD + "[locker.compartments.A1]\nlock_pin = 17\n", "mock", 0, "1 locks", id="a locker"
        ),
        pytest.param(HEAD, "nonsense", 0, "", id="a kiosk without locks needs no GPIO"),
        pytest.param(
            HEAD + "[locker.compartments.A1]\nlock_pin = 99\n",
            "mock",
            1,
            "lock_pin",
            id="a wrong profile",
        ),
        pytest.param(
            HEAD + "[locker.compartments.A1]\nlock_pin = 1\n",
            "nonsense",
            1,
            "no GPIO on this machine",
            id="no GPIO",
        ),
    ],
)
def test_the_release_command_de_energises_or_reports_why_not(tmp_path, text, factory, code, says):
    done = run_release(tmp_path, text, factory)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_lgpio_claims_an_output_with_its_level_in_one_step(monkeypatch):
    """With gpiozero it would be low first: a pulse at every start for an active low relay."""
    claims = []

    class LGPIOFactory(MockFactory):
        _handle = 7

    lgpio = type(sys)("lgpio")
    lgpio.gpio_claim_output = lambda *arguments: claims.append(arguments)
    monkeypatch.setitem(sys.modules, "lgpio", lgpio)
    factory = LGPIOFactory()
    pin_factory._without_glitch(factory)
    factory.pin(17).output_with_state(True)
    assert claims == [(7, 17, 1)]


def test_that_pin_factorys_private_names_are_gpiozeros_own():
    """``_handle``, ``_number`` and ``pin_class`` are what gpiozero's lgpio code itself uses."""
    from importlib.util import find_spec

    source = (
        Path(find_spec("gpiozero").submodule_search_locations[0]) / "pins" / "lgpio.py"
    ).read_text()
    assert "class LGPIOFactory" in source
    assert "lgpio.gpio_claim_output" in source
    assert "self.factory._handle, self._number" in source
    assert "self.pin_class" in source


def _raise(error):
    def call(*_):
        raise error

    return call
