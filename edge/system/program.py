"""Running a program: its commands, with messages instead of tracebacks, and its main loop."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import click

from edge.system.systemd import notify
from edge.values.errors import EdgeError
from edge.values.printable import printable


class LazyGroup(click.Group):
    """Group whose commands are imported only when they run, so that ``--help`` starts at once."""

    def __init__(
        self, *, targets: Mapping[str, str], entry_points: str | None = None, **options: Any
    ) -> None:
        """Set the commands: name to ``module:attribute``, in the order of ``--help``.

        ``entry_points`` is the group of entry points by which other packages add commands.
        """
        super().__init__(**options)
        self._targets = targets
        self._entry_points = entry_points

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Its message to people may quote a device: it is made printable."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            lines = map(printable, error.message.split("\n"))
            error.__dict__["message"] = "\n".join(lines)  # click declares it final
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return [*self._targets, *sorted(self._added())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command ``cmd_name``; None where there is none."""
        del ctx
        target = self._targets.get(cmd_name) or self._added().get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def _added(self) -> dict[str, str]:
        if self._entry_points is None:
            return {}
        from importlib.metadata import entry_points  # slow to import, and `run` does not need it

        return {point.name: point.value for point in entry_points(group=self._entry_points)}


class Stop(Protocol):
    """Whether a loop is to end: a ``StopSignal``, or an Event of threading."""

    def is_set(self) -> bool:
        """Return whether to end after this step."""
        ...


class StopSignal:
    """Record of SIGTERM and SIGINT, so that a process ends between two steps of its loop."""

    def __init__(self) -> None:
        self._received = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def is_set(self) -> bool:
        """Return whether one of the signals came."""
        return self._received

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self._received = True


def run_until_signal(step: Callable[[], bool | None], stop: Stop) -> bool:
    """Call ``step`` until it returns True or ``stop`` is set. Return whether it is set.

    Systemd is notified that the process is ready, and before each step that it is alive. So it
    notices a step that never returns.
    """
    notify("READY=1")
    while not stop.is_set():
        notify("WATCHDOG=1")
        if step():
            break
    return stop.is_set()


def run_program(program: click.Command, name: str, *, timings: object = None) -> None:
    """Run ``program`` as ``name`` and exit: 0 success, 1 refused or failed, 2 wrong usage.

    ``timings`` is the context object of the commands; None: each uses its defaults.

    Output that cannot be written (a full disk, a closed output) is a failure. A reader that closes
    the pipe (``| head``) ends the program quietly.
    """
    sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - a closed input counts as empty
    if sys.stdout is None:
        _end(name, "standard output is closed")
    code: int | str | None = 0
    try:
        try:
            program.main(prog_name=name, obj=timings)
        except SystemExit as ending:
            code = ending.code
        sys.stdout.flush()
    except KeyboardInterrupt:  # outside click's own handler
        _end(name, "stopped")
    except EdgeError as error:  # a failure that no command has handled
        _end(name, str(error) or type(error).__name__)
    except BrokenPipeError:
        _discard_output()
        sys.exit(0)
    except OSError as error:
        _discard_output()
        about = f"{error.filename}: " if error.filename else "standard input or output: "
        _end(name, f"{about}{error.strerror or error}")
    sys.exit(code)


def _discard_output() -> None:
    """Redirect the output, so that the interpreter does not write it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _end(name: str, message: str) -> None:
    if sys.stderr is not None:
        # click's echo would need standard output
        print(f"{name}: {printable(message)}", file=sys.stderr)
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the interpreter
    sys.exit(1)
