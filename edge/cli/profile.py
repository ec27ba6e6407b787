"""Read a profile for a command, or say what is wrong with it and stop."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge.config import Profile, parse_profile


def read_profile(file: Path) -> Profile:
    """Return the profile in ``file``. Prints every error with its path and exits 1 when there is one."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        click.echo(f"{file}: cannot be read: {error.strerror}", err=True)
        sys.exit(1)
    except UnicodeDecodeError:
        click.echo(f"{file}: not UTF-8 text; save it as UTF-8", err=True)
        sys.exit(1)
    outcome = parse_profile(text)
    if isinstance(outcome, Profile):
        return outcome
    for problem in outcome:
        click.echo(f"{file}: {problem}", err=True)
    sys.exit(1)
