"""Drive every lock pin inactive: ``python -m edge.bootstrap.release_locks --profile FILE``.

The service manager runs it after the scanner ended for any reason (systemd: ExecStopPost=). A
process that is killed in the middle of a pulse cannot do this itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge.config import ConfigError, Profile, parse_profile
from edge.devices.gpio_lock import GpioLock
from edge.devices.pin_factory import PinsUnavailableError, open_pin_factory
from edge.ports import LockError
from edge.settings.active_profile import ActiveProfile, load_active_profile
from edge.system.terminal import print_lines


def release(profile: Profile, *, pin_factory: Any) -> int:
    """Drive all lock pins of ``profile`` inactive; return how many. Raises LockError.

    Lock boards end their pulses by themselves.
    """
    if profile.locker.driver == "board":
        return 0
    lock = GpioLock(profile.locker, pin_factory=pin_factory)
    count = len(lock.compartments())
    lock.close()
    return count


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--profile",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    help="The device profile (TOML).",
)
@click.option(
    "--data", type=click.Path(path_type=Path), envvar="EDGE_SCANNER_DATA", help="The data folder."
)
def main(path: Path, data: Path | None) -> None:
    """De-energise every lock of a profile and of the settings pushed over it.

    Example: python -m edge.bootstrap.release_locks --profile /etc/edge-scanner/profile.toml
    """
    running = load_active_profile(path, data) if data is not None else None
    try:
        profile = parse_profile(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        profile = [ConfigError("", f"cannot be read: {error}")]
    if isinstance(profile, list) and isinstance(running, ActiveProfile):
        profile = running.profile  # what the scanner ran on, too
    if not isinstance(profile, Profile):
        raise click.ClickException(f"{path}: " + "; ".join(str(error) for error in profile))
    pushed = (
        [running.profile]
        if isinstance(running, ActiveProfile) and running.profile.locker != profile.locker
        else []
    )
    on_pins = [
        one
        for one in (profile, *pushed)
        if one.locker.compartments and one.locker.driver != "board"
    ]
    if not on_pins:
        return  # there may be no GPIO either
    try:
        factory = open_pin_factory()
        count = sum(release(one, pin_factory=factory) for one in on_pins)
    except (PinsUnavailableError, LockError) as error:
        raise click.ClickException(str(error)) from error
    print_lines(f"{count} locks de-energised", err=True)


if __name__ == "__main__":
    main()
