"""Reading of a profile for a command, which ends with a message when the profile is invalid."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.config import ConfigError, Profile, parse_profile
from edge.system.terminal import print_lines

if TYPE_CHECKING:
    from edge.settings.active_profile import ActiveProfile


def read_profile(file: Path) -> Profile:
    """Return the profile in ``file``. Prints every error with its path, and exits 1."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        print_lines(f"{file}: cannot be read: {error.strerror}", err=True)
        sys.exit(1)
    except UnicodeDecodeError:
        print_lines(f"{file}: not UTF-8 text; save it as UTF-8", err=True)
        sys.exit(1)
    outcome = parse_profile(text)
    if isinstance(outcome, Profile):
        return outcome
    raise report_errors(file, outcome)


def read_active(file: Path, data: Path) -> ActiveProfile:
    """Return what the device runs on. Prints every error and exits 1 without it."""
    # Imported here: commands without a device do not need it.
    from edge.settings.active_profile import ActiveProfile, load_active_profile

    running = load_active_profile(file, data)
    if isinstance(running, ActiveProfile):
        return running
    raise report_errors(file, running)


def read_running(file: Path, data: Path) -> Profile:
    """Return the profile that the device runs on. Prints every error and exits 1 without one."""
    return read_active(file, data).profile


def report_errors(file: Path, errors: list[ConfigError]) -> SystemExit:
    """Print each error of the profile ``file``; return the exception that exits 1."""
    for error in errors:
        print_lines(f"{file}: {error}", err=True)
    return SystemExit(1)
