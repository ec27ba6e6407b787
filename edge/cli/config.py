"""``edge-scanner config``: check a profile, and show what the device runs on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from edge.cli.profile_options import read_profile
from edge.settings.active_profile import ActiveProfile, load_active_profile
from edge.settings.folder import SettingsFolder
from edge.system.terminal import print_lines
from edge.values.printable import json_line


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Validate a device profile. Prints every error with its path, and exits 1.

    Example: edge-scanner config check /etc/edge-scanner/profile.toml
    """
    profile = read_profile(file)
    print_lines(
        f"{file}: valid: {profile.device.kind} {profile.device.id} at {profile.device.site}",
        err=True,
    )


@config.command()
@click.option(
    "--profile",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    help="The shipped profile (TOML).",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="EDGE_SCANNER_DATA",
    default=Path("/var/lib/edge-scanner"),
    show_default=True,
    help="The device's data folder.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object; else TOML-like lines.")
def show(file: Path, data: Path, as_json: bool) -> None:
    """Show the profile that the device runs on, with its identity and the pushed settings.

    Example: edge-scanner config show --profile /etc/edge-scanner/profile.toml
    """
    running = load_active_profile(file, data)
    if not isinstance(running, ActiveProfile):
        raise click.ClickException("; ".join(f"{file}: {error}" for error in running))
    state = SettingsFolder(data).state()
    settings = {
        "state": str(state.phase),
        "hash": running.digest,
        "problem": running.problem,
        "profile_invalid": running.invalid,
        "errors": [
            f"{wrong.path}: {wrong.message}" if wrong.path else wrong.message
            for wrong in state.wrong
        ],
    }
    profile = running.profile.model_dump(mode="json", exclude_none=True)
    if as_json:
        print_lines(json_line({"settings": settings, "profile": profile}))
        return
    for path, value in [*_flat(settings, "settings"), *_flat(profile)]:
        print_lines(f"{path} = {json_line(value)}")


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            yield from _flat(value, path)
        else:
            yield path, value
