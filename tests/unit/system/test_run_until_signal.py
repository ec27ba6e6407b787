"""A program's loop runs until a signal, or until its step returns True."""

import os
import signal
import socket

import pytest

from edge.system.program import StopSignal, run_until_signal


@pytest.fixture(autouse=True)
def _handlers_as_before():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_loop_after_the_step_that_it_arrived_in(number):
    done = []

    def step() -> None:
        done.append("begun")
        if len(done) == 3:
            os.kill(os.getpid(), number)
            done.append("ended")

    assert run_until_signal(step, StopSignal()) is True
    assert done == ["begun"] * 3 + ["ended"]


def test_a_signal_before_the_loop_is_not_lost():
    stop = StopSignal()
    os.kill(os.getpid(), signal.SIGTERM)
    assert run_until_signal(lambda: pytest.fail("no step may follow a signal"), stop) is True


def test_a_step_that_returns_true_ends_the_loop_without_a_signal():
    assert run_until_signal(lambda: True, StopSignal()) is False


def test_systemd_is_notified_that_the_loop_is_ready_and_alive(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        steps = iter([None, None, True])
        run_until_signal(lambda: next(steps), StopSignal())
        received = [systemd.recv(64) for _ in range(4)]
    assert received == [b"READY=1"] + [b"WATCHDOG=1"] * 3
