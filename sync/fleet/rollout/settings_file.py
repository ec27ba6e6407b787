"""Settings file to push (TOML): the layer, the conditions, and the content.

    layer = "site"            # fleet, group, site or device
    name = "shop-1"           # of the group, site or device
    probation_s = 120         # optional, as all of: smallest_agent, not_before_s, expires_at_s

    [content.decode]          # sections and keys as in a profile
    budget_ms = 45.0

The content is the whole layer: the layer no longer changes a setting that is not named here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from pydantic import Field, ValidationError, model_validator

from edge.config import ConfigError, Name, Section, parse_toml
from edge.documents.settings import PROBATION_S, SettingsDocument, SettingsLayer
from edge.settings.effective import forbidden
from edge.token.fields import TIME_END


class SettingsFile(Section):
    """Content of a settings file."""

    layer: SettingsLayer
    name: Name | None = None
    probation_s: int = Field(PROBATION_S, ge=1, le=86_400)
    smallest_agent: str = Field("0", pattern=r"^\d+(\.\d+)*$")
    not_before_s: int = Field(0, ge=0, lt=TIME_END - 1)
    expires_at_s: int = Field(TIME_END - 1, ge=1, lt=TIME_END)
    content: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> SettingsFile:
        if (self.name is None) != (self.layer is SettingsLayer.FLEET):
            raise ValueError('layer "fleet" has no name; every other layer has one')
        if self.expires_at_s <= self.not_before_s:
            raise ValueError("expires_at_s is not after not_before_s")
        if errors := forbidden(self.content):
            raise ValueError("; ".join(str(error) for error in errors))
        return self

    def document(self, tenant: str, rev: int) -> SettingsDocument:
        """Return the document to sign."""
        return SettingsDocument(
            tenant=tenant,
            layer=self.layer,
            name=self.name or "",
            rev=rev,
            content=self.content,
            smallest_agent=self.smallest_agent,
            not_before_s=self.not_before_s,
            expires_at_s=self.expires_at_s,
            probation_s=self.probation_s,
        )


def read_settings_file(path: Path) -> SettingsFile:
    """Read a settings file. Raises ClickException with every error and its path."""
    try:
        tree = parse_toml(path.read_bytes())
        if isinstance(tree, ConfigError):
            raise click.ClickException(f"{path} is {tree.message}")
        return SettingsFile.model_validate(tree)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(map(str, item['loc'])) or 'file'}: "
            + item["msg"].removeprefix("Value error, ")
            for item in error.errors()
        ]
        raise click.ClickException("\n".join(lines)) from None
