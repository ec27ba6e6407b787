"""``edge-scanner config``: look at a profile before a device does."""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli.profile import read_profile


@click.group()
def config() -> None:
    """Check configuration files."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Validate a device profile: every error with its path, exit 1.

    Example: edge-scanner config check /etc/edge-scanner/profile.toml
    """
    profile = read_profile(file)
    click.echo(f"{file}: good: {profile.device.kind} {profile.device.id} at {profile.device.site}", err=True)
