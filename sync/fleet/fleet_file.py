"""``fleet.toml``: the fleet's broker, the identity of operations there, and the key folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import Field, ValidationError

from edge.config import ConfigError, Name, Section, parse_toml
from edge.values.node_name import OPS
from sync.fleet.key_folder import KeyFolder, KeyFolderError
from sync.mqtt.endpoint import Endpoint


class _FleetFileContent(Section):
    tenant: Name = "main"
    host: str
    port: int = Field(8883, ge=1, le=65535)
    ca_file: str
    cert_file: str
    key_file: str
    keys: str | None = None


@dataclass(frozen=True, slots=True)
class FleetFile:
    """Content of ``fleet.toml``. File names in it are relative to its folder."""

    tenant: str
    endpoint: Endpoint
    keys_dir: Path | None

    def open_keys(self, keys_dir: Path | None) -> KeyFolder:
        """Open the key folder: ``keys_dir``, or by default the one that the file names.

        Raises ClickException when neither is given or the folder cannot be used.
        """
        folder = keys_dir or self.keys_dir
        if folder is None:
            raise click.UsageError(
                "a signature is needed: name the key folder with --keys, or in fleet.toml"
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
        content = _FleetFileContent.model_validate(tree)
    except OSError as error:
        raise click.ClickException(
            f"{path}: {error.strerror}; name the fleet's file with --fleet "
            "(edge-hub site writes one)"
        ) from None
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        )
        raise click.ClickException(f"{path}: {faults}") from None
    folder = path.resolve().parent
    endpoint = Endpoint(
        host=content.host,
        port=content.port,
        client_id=OPS,
        ca_file=str(folder / content.ca_file),
        cert_file=str(folder / content.cert_file),
        key_file=str(folder / content.key_file),
    )
    return FleetFile(content.tenant, endpoint, folder / content.keys if content.keys else None)


def fleet_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--fleet`` and ``--json``, which every command that uses the broker has."""
    command = click.option(
        "--json", "as_json", is_flag=True, help="Print JSON on standard output, one object a line."
    )(command)
    return click.option(
        "--fleet",
        "fleet_file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="EDGE_FLEET",
        default=Path("fleet.toml"),
        show_default=True,
        show_envvar=True,
        help="The file that describes the fleet's broker.",
    )(command)
