"""Where a fleet is, for ``edge-fleet``: its broker, the ops identity there, and where its keys lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.config import ConfigError, Name, parse_toml
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.mqtt.endpoint import Endpoint
from sync.wire.topics import OPS


class _FleetFileSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: Name = "main"
    host: str
    port: int = Field(8883, ge=1, le=65535)
    ca_file: str
    cert_file: str
    key_file: str
    keys: str | None = None


@dataclass(frozen=True, slots=True)
class FleetFile:
    """``fleet.toml``, read. File names in it are relative to its folder."""

    tenant: str
    endpoint: Endpoint
    keys_dir: Path | None

    def keys(self, named: Path | None) -> KeyFolder:
        """The fleet's keys, in the folder that was named or in the file's. Raises ClickException."""
        folder = named or self.keys_dir
        if folder is None:
            raise click.UsageError(
                "this signs: name the folder of the fleet's keys with --keys, or in fleet.toml"
            )
        try:
            return KeyFolder(folder)
        except KeyFolderError as error:
            raise click.ClickException(str(error)) from None


def load_fleet_file(path: Path) -> FleetFile:
    """Read ``fleet.toml``. Raises ClickException with what to do."""
    try:
        tree = parse_toml(path.read_bytes())
        if isinstance(tree, ConfigError):
            raise click.ClickException(f"{path} is {tree.message}")
        file = _FleetFileSection.model_validate(tree)
    except OSError as error:
        raise click.ClickException(
            f"{path}: {error.strerror}; name the fleet's file with --fleet (edge-hub site writes one)"
        ) from None
    except ValidationError as error:
        words = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        )
        raise click.ClickException(f"{path}: {words}") from None
    folder = path.resolve().parent
    endpoint = Endpoint(
        host=file.host,
        port=file.port,
        client_id=OPS,
        ca_file=str(folder / file.ca_file),
        cert_file=str(folder / file.cert_file),
        key_file=str(folder / file.key_file),
    )
    return FleetFile(file.tenant, endpoint, folder / file.keys if file.keys else None)


def fleet_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command at the broker has: ``--fleet`` and ``--json``."""
    command = click.option(
        "--json", "as_json", is_flag=True, help="JSON on standard output, one object a line."
    )(command)
    return click.option(
        "--fleet",
        "fleet_file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="EDGE_FLEET",
        default=Path("fleet.toml"),
        show_default=True,
        show_envvar=True,
        help="Where the fleet is.",
    )(command)
