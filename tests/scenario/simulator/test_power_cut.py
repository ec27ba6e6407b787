"""Power cuts end a program without warning, even one that ignores signals."""

import sys

import pytest
from hardware_sim.faults.power_cut import PoweredProcess

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    open(sys.argv[1], "w").write("a handler ran")
"""


def test_a_power_cut_runs_no_handler(tmp_path):
    trace = tmp_path / "trace"
    with PoweredProcess([sys.executable, "-c", STUBBORN, str(trace)]) as machine:
        assert machine.wait_for_line("ready") == "ready"
        machine.cut_power()
        machine.cut_power()
        assert not machine.running
    assert not trace.exists()


def test_a_program_that_is_asked_to_end_runs_its_handler():
    with PoweredProcess(
        [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    ) as machine:
        machine.wait_for_line("up")
        assert machine.switch_off() != 0
        assert not machine.running


def test_each_wait_returns_the_next_matching_line():
    with PoweredProcess(
        [sys.executable, "-c", "print('one\\ntwo\\nthree', flush=True)"]
    ) as machine:
        assert machine.wait_for_line("two") == "two"
        assert machine.wait_for_line("thr") == "three"
        with pytest.raises(EOFError, match="code 0"):
            machine.wait_for_line("four")


def test_a_missing_line_is_a_timeout():
    with (
        PoweredProcess([sys.executable, "-c", "import time; time.sleep(60)"]) as machine,
        pytest.raises(TimeoutError, match="ready"),
    ):
        machine.wait_for_line("ready", timeout_s=0.1)
