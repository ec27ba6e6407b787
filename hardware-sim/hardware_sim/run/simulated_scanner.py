"""The real daemon with a simulated camera and locker.

    python -m hardware_sim.run.simulated_scanner --profile FILE --data DIR

Standard input takes one command a line, as a JSON object:

``{"show": TEXT, "condition": NAME}``, ``{"picture": PATH}``, ``{"clear": true}``
    hold a code or a picture before the lens, or remove it.
``{"unplug": true}``, ``{"stall": true}``, ``{"replug": true}``
    change the camera.
``{"fail": COMPARTMENT, "how": NAME}``, ``{"repair": COMPARTMENT}``
    change a door.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click
from structlog.typing import FilteringBoundLogger

from edge.bootstrap.hardware_assembly import OpenCamera, build_hardware, camera_opener
from edge.bootstrap.scanner import build_scanner
from edge.capture.picture_files import load
from edge.cli.profile_options import read_running
from edge.config import CameraSection, Profile
from edge.decode.isolation.fork_server import ForkServer
from edge.ports import CameraError
from edge.scanner.hardware import Hardware
from edge.scanner.lifecycle import ScannerLifecycle
from edge.system import log
from edge.system.program import StopSignal
from hardware_sim.parts.doors import DoorFailure, Doors
from hardware_sim.parts.mock_pins import wired_factory
from hardware_sim.vision.camera import CameraScene, SimCamera
from hardware_sim.vision.view_condition import PRESETS

PERSON_CLOSES_AFTER_S = 0.6  # short, for a quick demonstration
UNSUPPORTED_MODES = ((4096, 2160),)  # (width, height) in pixels
FATAL_MODE = (666, 666)  # opening it ends the process, as a faulty driver does


def run_commands(lines: Iterable[str], scene: CameraScene, doors: Doors) -> None:
    """Run commands until the input ends. A wrong one is reported on standard error and skipped."""
    for line in lines:
        try:
            _run_command(json.loads(line), scene, doors)
        except (ValueError, KeyError, OSError) as error:
            print(f"wrong command: {line.strip()}: {error}", file=sys.stderr, flush=True)


def _run_command(command: dict[str, Any], scene: CameraScene, doors: Doors) -> None:
    match command:
        case {"show": text, "condition": name}:
            scene.show(text, PRESETS[name])
        case {"picture": path}:
            scene.show_frame(load(Path(path)))
        case {"clear": _}:
            scene.clear()
        case {"unplug": _}:
            scene.unplug()
        case {"stall": _}:
            scene.stall()
        case {"replug": _}:
            scene.replug()
        case {"fail": compartment, "how": name}:
            doors.fail(compartment, DoorFailure(name))
        case {"repair": compartment}:
            doors.repair(compartment)
        case _:
            raise ValueError("there is no such command")


def open_mode(scene: CameraScene, section: CameraSection) -> SimCamera:
    """Open the simulated camera. Raises CameraError for a mode that it does not support."""
    if (section.width_px, section.height_px) == FATAL_MODE:
        os.abort()
    if (section.width_px, section.height_px) in UNSUPPORTED_MODES:
        raise CameraError(f"the camera has no mode of {section.width_px} x {section.height_px}")
    return SimCamera(scene, frame_rate_hz=section.frame_rate_hz)


def scan(
    profile: Profile,
    file: Path,
    data: Path,
    commands: Iterable[str],
    *,
    open_camera: OpenCamera | None,
    log: FilteringBoundLogger,
    fork_server: ForkServer,
) -> None:
    """Run the daemon in this thread until SIGTERM. ``open_camera`` None: the simulated camera."""
    stop = StopSignal()
    scene = CameraScene(width_px=profile.camera.width_px, height_px=profile.camera.height_px)
    doors = Doors(profile.locker.compartments, person_closes_after_s=PERSON_CLOSES_AFTER_S)
    threading.Thread(
        target=run_commands, args=(commands, scene, doors), name="commands", daemon=True
    ).start()

    def equip(now: Profile) -> Hardware:
        return build_hardware(
            now,
            pin_factory=wired_factory(now.locker, doors),
            open_camera=open_camera or partial(open_mode, scene, now.camera),
        )

    ScannerLifecycle(
        file=file,
        data=data,
        equip=equip,
        open=lambda now, parts, hold_off: build_scanner(
            now,
            data,
            parts,
            log=log.bind(device=now.device.id),
            synchronised=lambda: True,
            hold_off=hold_off,
            fork_server=fork_server,
        ),
        log=log,
    ).run(stop)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--profile",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    help="the device profile (TOML)",
)
@click.option("--data", required=True, type=click.Path(path_type=Path), help="the data folder")
@click.option("--real-camera", is_flag=True, help="use the profile's camera, not the simulated one")
def main(file: Path, data: Path, real_camera: bool) -> None:
    """Run the daemon with simulated hardware."""
    profile = read_running(file, data)
    opener = camera_opener(profile.camera) if real_camera else None
    with ForkServer() as fork_server:  # before any thread starts
        logger = log.configure(device=profile.device.id)
        scan(
            profile, file, data, sys.stdin, open_camera=opener, log=logger, fork_server=fork_server
        )


if __name__ == "__main__":
    main()
