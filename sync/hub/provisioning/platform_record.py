"""``platform.toml``: what a platform's folder was made with, so that a second run only adds."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from edge.config import ConfigError, parse_toml
from sync.hub.provisioning.platform_files import ProvisioningError
from sync.hub.provisioning.platform_spec import PlatformSpec

FILE: Final = "platform.toml"
_DEVICES: Final = "devices"


def recorded_spec(folder: Path) -> PlatformSpec | None:
    """Return what ``folder`` was made with; None for a new folder. Raises ProvisioningError."""
    path = folder / FILE
    if not path.exists():
        return None
    found = parse_toml(path.read_bytes())
    if isinstance(found, ConfigError):
        raise ProvisioningError(f"{path}: {found}; use a new folder")
    try:
        return PlatformSpec(**found)
    except TypeError as error:
        raise ProvisioningError(f"{path}: {error}; use a new folder") from error


def extended(recorded: PlatformSpec, asked: PlatformSpec) -> PlatformSpec:
    """Return ``recorded`` with the new devices of ``asked``.

    Raises ProvisioningError where the two contradict each other: this program does not rewrite
    files that people have changed.
    """
    for field in dataclasses.fields(PlatformSpec):
        here, wanted = getattr(recorded, field.name), getattr(asked, field.name)
        if field.name != _DEVICES and here != wanted:
            raise ProvisioningError(
                f"{field.name} is {here!r} in this folder, and {wanted!r} was asked for:"
                " use a new folder"
            )
    for device, site in asked.devices.items():
        if recorded.devices.get(device, site) != site:
            raise ProvisioningError(
                f"{device} is a device of {recorded.devices[device]} here,"
                f" and {site} was asked for: use another name"
            )
    return replace(recorded, devices={**recorded.devices, **asked.devices})


def record_text(spec: PlatformSpec) -> str:
    """Return the record of ``spec``, TOML."""
    values = {
        field.name: getattr(spec, field.name)
        for field in dataclasses.fields(spec)
        if field.name != _DEVICES
    }
    lines = [f"{name} = {_toml(value)}" for name, value in values.items() if value is not None]
    lines += ["", "[devices]"]
    lines += [f"{_toml(device)} = {_toml(site)}" for device, site in spec.devices.items()]
    head = "# Made by `edge-hub site`, which reads it again. Do not edit it.\n"
    return head + "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # of a text or an integer, as TOML writes it
