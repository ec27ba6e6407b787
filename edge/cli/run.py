"""``edge-scanner run``: the daemon."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import click

from edge.cli.profile import read_profile

_TEMPORARY_FAILURE = 75  # sysexits.h: the service manager starts it again


@click.command()
@click.option("--profile", "file", required=True, type=click.Path(path_type=Path), help="device profile (TOML)")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="EDGE_SCANNER_DATA",
    default=Path("/var/lib/edge-scanner"),
    show_default=True,
    help="data folder",
)
def run(file: Path, data: Path) -> None:
    """Scan until told to stop (SIGTERM, Ctrl-C).

    Example: edge-scanner run --profile /etc/edge-scanner/profile.toml
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    from edge import log
    from edge.bootstrap import build_parts, build_scanner
    from edge.notify import notify
    from edge.settings.shifts import ConfigurationError, Shifts

    profile = read_profile(file)
    logger = log.configure(device=profile.device.id)
    shifts = Shifts(
        file=file,
        data=data,
        equip=build_parts,
        open=lambda profile, parts, hold_off: build_scanner(
            profile, data, parts, log=logger.bind(device=profile.device.id), hold_off=hold_off
        ),
        log=logger,
    )
    try:
        again = shifts.run(stop)
    except ConfigurationError as error:
        raise click.ClickException(f"{file}: {error}") from None
    notify("STOPPING=1")
    sys.exit(_TEMPORARY_FAILURE if again else 0)
