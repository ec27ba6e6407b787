"""The last profile that could be used, kept beside the settings: what a device runs on while its own is wrong.

The scanner keeps it. Everybody else reads it, the doctor as another user.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from edge.config import ConfigError, parse_toml
from edge.config.merge_patch import Tree
from edge.system.durable_file import write_durably

LAST_GOOD: Final = "profile.last-good.toml"  # in the data folder


def keep_last_good(content: bytes, data: Path) -> None:
    """Put a profile that can be used on disk, unless it is there. Raises OSError."""
    path = data / LAST_GOOD
    with suppress(OSError):
        if path.read_bytes() == content:
            return
    write_durably(path, content)


def last_good(data: Path) -> Tree | None:
    """The last profile that could be used, without identity; None when none was kept, or it is damaged."""
    with suppress(OSError):
        tree = parse_toml((data / LAST_GOOD).read_bytes())
        return None if isinstance(tree, ConfigError) else tree
    return None
