"""What a process of this device is to run on now: the shipped profile, the device's identity, and the chosen plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.config import ConfigError, Profile, load_profile, parse_toml
from edge.settings.damage import read_patch, remembered
from edge.settings.folder import SettingsFolder
from edge.settings.merge import Tree, effective, merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """``digest``: the plan in ``profile``; None: as shipped. ``problem``: why it is not the one that was chosen.

    ``damage``: what is wrong with the identity of this device, which is to honour nothing until it is mended.
    """

    profile: Profile
    digest: str | None
    problem: str = ""
    damage: str = ""


def shipped(file: Path, data: Path) -> Tree | list[ConfigError]:
    """The profile in ``file`` as a mapping, with the identity of an enrolled device over it, or what is left of it."""
    tree = _read(file)
    if isinstance(tree, ConfigError):
        return [tree]
    patch = read_patch(data)
    if isinstance(patch, str):
        return remembered(tree, data)
    merged: Tree = merge(tree, patch)
    return merged


def load_running(file: Path, data: Path) -> Running | list[ConfigError]:
    """What to run on. A plan that cannot be used is left out: the device starts as shipped, and says why."""
    base = shipped(file, data)
    if isinstance(base, list):
        return base
    damage = identity_damage(data)
    folder = SettingsFolder(data)
    digest = folder.state().choice
    plan = folder.plan(digest)
    problem = "" if digest is None or plan else "the settings' file is gone or damaged: push them again"
    if plan is not None:
        patches = [_without_broker(patch) for patch in plan.patches] if damage else plan.patches
        profile = effective(base, patches)
        if isinstance(profile, Profile):
            return Running(profile=profile, digest=digest, damage=damage)
        problem = "; ".join(str(error) for error in profile)
    profile = load_profile(base)
    if isinstance(profile, list):
        return profile
    return Running(profile=profile, digest=None, problem=problem, damage=damage)


def identity_damage(data: Path) -> str:
    """What is wrong with the identity's file, and what to do; empty when it is sound, or was never there."""
    patch = read_patch(data)
    return patch if isinstance(patch, str) else ""


def _without_broker(patch: Tree) -> Tree:
    """It is pushed over the broker that the identity names, and there is none."""
    return {section: keys for section, keys in patch.items() if section != "mqtt"}


def _read(file: Path) -> Tree | ConfigError:
    try:
        return parse_toml(file.read_bytes())
    except OSError as error:
        return ConfigError("", f"cannot be read: {error.strerror}")
