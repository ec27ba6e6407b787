"""Run a program's commands, with words instead of a traceback when what it prints cannot be printed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


def run_program(program: click.Command, name: str) -> None:
    """Run ``program`` as ``name`` and exit: 0 success, 1 the world said no, 2 usage.

    What was printed must have arrived: a full disk or a closed output is no success. A reader that has
    enough (``| head``) ends the program quietly.
    """
    sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - closed is as good as empty
    if sys.stdout is None:
        _end(name, "standard output is closed")
    code: int | str | None = 0
    try:
        try:
            program.main(prog_name=name)
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
