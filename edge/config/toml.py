"""TOML that a person wrote, and what may be wrong with it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

_DEEPEST = 16  # tables and arrays in one another; a profile needs four


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One thing wrong with a profile: where, and what to do."""

    path: str  # "camera.width_px"; empty for the file as a whole
    message: str
    whole: str = "profile"  # what the file is

    def __str__(self) -> str:
        return f"{self.path or self.whole}: {self.message}"


_TOO_DEEP = ConfigError("", f"not TOML: nested more than {_DEEPEST} deep")


def parse_toml(content: str | bytes) -> dict[str, Any] | ConfigError:
    """Parse TOML that a person wrote, with or without a byte order mark; or return the error.

    >>> parse_toml("a = " + "[" * 9999).message
    'not TOML: nested more than 16 deep'
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        document = tomllib.loads(text.removeprefix("\ufeff"))
    except UnicodeDecodeError:
        return ConfigError("", "not UTF-8 text; save it as UTF-8")
    except RecursionError:
        return _TOO_DEEP
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        return ConfigError("", f"not TOML: {error}")
    return document if _depth_is_bounded(document) else _TOO_DEEP


def _depth_is_bounded(document: dict[str, Any]) -> bool:
    """Return whether the nesting is bounded. Dotted keys nest without nesting in the text."""
    layer: list[Any] = [document]
    for _ in range(_DEEPEST):
        layer = [
            below
            for item in layer
            for below in (item.values() if isinstance(item, dict) else item)
            if isinstance(below, dict | list)
        ]
        if not layer:
            return True
    return False
