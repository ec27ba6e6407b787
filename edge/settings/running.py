"""What a process of this device is to run on now: the shipped profile, the device's identity, and the chosen plan."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.config import ConfigError, Profile, load_profile
from edge.settings.folder import SettingsFolder
from edge.settings.merge import Tree, effective, merge

IDENTITY: Final = Path("identity") / "identity.json"  # in the data folder; written by enrolment


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """``digest``: the plan in ``profile``; None: as shipped. ``problem``: why it is not the one that was chosen."""

    profile: Profile
    digest: str | None
    problem: str = ""


def shipped(file: Path, data: Path) -> Tree | list[ConfigError]:
    """The profile in ``file`` as a mapping, with the identity of an enrolled device over it."""
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        return [ConfigError("", f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError:
        return [ConfigError("", "not UTF-8 text; save it as UTF-8")]
    except tomllib.TOMLDecodeError as error:
        return [ConfigError("", f"not TOML: {error}")]
    try:
        merged: Tree = merge(tree, json.loads((data / IDENTITY).read_bytes())["profile"])
    except (OSError, ValueError, KeyError, TypeError):
        return tree
    return merged


def load_running(file: Path, data: Path) -> Running | list[ConfigError]:
    """What to run on. A plan that cannot be used is left out: the device starts as shipped, and says why."""
    base = shipped(file, data)
    if isinstance(base, list):
        return base
    folder = SettingsFolder(data)
    digest = folder.state().choice
    plan = folder.plan(digest)
    problem = "" if digest is None or plan else "the settings' file is gone or damaged: push them again"
    if plan is not None:
        profile = effective(base, plan.patches)
        if isinstance(profile, Profile):
            return Running(profile=profile, digest=digest)
        problem = "; ".join(str(error) for error in profile)
    profile = load_profile(base)
    if isinstance(profile, list):
        return profile
    return Running(profile=profile, digest=None, problem=problem)
