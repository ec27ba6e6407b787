"""Run a program: its commands with messages instead of tracebacks, and its loop until a signal."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import click

from edge.system.systemd import notify


class StopSignal:
    """Notes SIGTERM and SIGINT from its construction on: a process ends between steps, not in one."""

    def __init__(self) -> None:
        self.received = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True


def run_until_signal(step: Callable[[], bool | None], stop: StopSignal) -> bool:
    """Call ``step`` until it returns True or ``stop`` was received. Return whether it was received.

    Systemd is told that the process is ready, and before each step that it is alive. A step that
    never returns is therefore noticed.
    """
    notify("READY=1")
    while not stop.received:
        notify("WATCHDOG=1")
        if step():
            break
    return stop.received


def run_program(program: click.Command, name: str, *, timings: object = None) -> None:
    """Run ``program`` as ``name`` and exit: 0 success, 1 the world said no, 2 usage.

    ``timings`` is handed to the commands as click's context object; None: each has its defaults.

    What was printed must have arrived: a full disk or a closed output is no success. A reader that has
    enough (``| head``) ends the program quietly.
    """
    sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - closed is as good as empty
    if sys.stdout is None:
        _end(name, "standard output is closed")
    code: int | str | None = 0
    try:
        try:
            program.main(prog_name=name, obj=timings)
        except SystemExit as ending:
            code = ending.code
        sys.stdout.flush()
    except KeyboardInterrupt:  # between click's own care and the end
        _end(name, "stopped")
    except BrokenPipeError:
        _forget_output()
        sys.exit(0)
    except OSError as error:
        _forget_output()
        about = f"{error.filename}: " if error.filename else "standard input or output: "
        _end(name, f"{about}{error.strerror or error}")
    sys.exit(code)


def _forget_output() -> None:
    """What cannot be written must not be tried again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _end(name: str, message: str) -> None:
    if sys.stderr is not None:
        print(
            f"{name}: {message}", file=sys.stderr
        )  # click's echo would need the output that is not there
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the interpreter
    sys.exit(1)
