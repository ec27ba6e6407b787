"""What the commands of ``edge-hub`` do alike."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import click
from pydantic import BaseModel

from sync.hub.config import read_config

C = TypeVar("C", bound=BaseModel)


def configured(path: Path, model: type[C]) -> C:
    """Read a configuration. Raises ClickException, which says everything that is wrong with it."""
    config = read_config(path, model)
    if isinstance(config, list):
        raise click.ClickException("; ".join(f"{path}: {error}" for error in config))
    return config
