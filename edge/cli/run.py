"""``edge-scanner run``: the daemon."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.system.program import Stop, StopSignal

if TYPE_CHECKING:
    from edge.decode.isolation.fork_server import ForkServer

# Modules that only the decoder's processes use.
_DECODING = ("edge.decode.isolation.decoder", "edge.decode.live")
_TEMPORARY_FAILURE = 75  # EX_TEMPFAIL of sysexits.h: the service manager restarts the process


@click.command()
@click.option(
    "--profile",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    help="The device profile (TOML).",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="EDGE_SCANNER_DATA",
    default=Path("/var/lib/edge-scanner"),
    show_default=True,
    help="The device's data folder.",
)
def run(file: Path, data: Path) -> None:
    """Scan until SIGTERM or Ctrl-C.

    Example: edge-scanner run --profile /etc/edge-scanner/profile.toml
    """
    stop = StopSignal()
    gc.disable()  # modules stay loaded: there is no garbage while they are imported
    import cv2  # noqa: F401 - both processes use it, so it is imported before there are two

    from edge.decode.isolation.fork_server import ForkServer
    from edge.system.systemd import notify

    # Forked before there are threads, a camera, pins and a store.
    with ForkServer(_DECODING) as fork_server:
        restart = _scan(file, data, fork_server, stop)
    notify("STOPPING=1")
    sys.exit(_TEMPORARY_FAILURE if restart else 0)


def _scan(file: Path, data: Path, fork_server: ForkServer, stop: Stop) -> bool:
    """Scan until ``stop`` is set. Return whether a new process is needed."""
    from edge.bootstrap.hardware_assembly import build_hardware
    from edge.bootstrap.scanner import build_scanner
    from edge.cli.profile_options import report_errors
    from edge.scanner.lifecycle import ConfigurationError, ScannerLifecycle
    from edge.system import log

    gc.freeze()
    gc.enable()
    logger = log.configure()
    scanner = ScannerLifecycle(
        file=file,
        data=data,
        equip=build_hardware,
        open=lambda profile, parts, hold_off: build_scanner(
            profile,
            data,
            parts,
            log=logger.bind(device=profile.device.id),
            hold_off=hold_off,
            fork_server=fork_server,
        ),
        log=logger,
    )
    try:
        return scanner.run(stop)
    except ConfigurationError as error:
        raise report_errors(file, error.errors) from None
