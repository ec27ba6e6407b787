"""What a process of this device is to run on now: the shipped profile, the device's identity, and the chosen plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.config import ConfigError, Profile, load_profile, parse_toml
from edge.config.merge_patch import Tree, merge
from edge.identity.damage import identity_damage, profile_from_remains, read_patch
from edge.settings.effective import effective
from edge.settings.folder import SettingsFolder
from edge.settings.last_good import keep_last_good, last_good


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveProfile:
    """``digest``: the plan in ``profile``; None: as shipped. ``problem``: why it is not the one that was chosen.

    ``damage``: what is wrong with the identity of this device, which is to honour nothing until it is mended.
    ``invalid``: what is wrong with the profile as shipped; the device runs on the last one that could be used.
    """

    profile: Profile
    digest: str | None
    problem: str = ""
    damage: str = ""
    invalid: str = ""


def shipped(file: Path, data: Path) -> Tree | list[ConfigError]:
    """The profile in ``file`` as a mapping, with the identity of an enrolled device over it, or what is left of it.

    Where it cannot be used, the last one that could, if there was one.
    """
    return _base(file, data)[0]


def load_active_profile(file: Path, data: Path) -> ActiveProfile | list[ConfigError]:
    """What to run on. A plan that cannot be used is left out: the device starts as shipped, and says why."""
    base, invalid = _base(file, data)
    if isinstance(base, list):
        return base
    damage = identity_damage(data)
    digest, plan = SettingsFolder(data).chosen()
    problem = (
        "" if digest is None or plan else "the settings' file is gone or damaged: push them again"
    )
    if plan is not None:
        patches = [_without_broker(patch) for patch in plan.patches] if damage else plan.patches
        profile = effective(base, patches)
        if isinstance(profile, Profile):
            return ActiveProfile(profile=profile, digest=digest, damage=damage, invalid=invalid)
        problem = "; ".join(str(error) for error in profile)
    profile = load_profile(base)
    if isinstance(profile, list):
        return profile
    return ActiveProfile(
        profile=profile, digest=None, problem=problem, damage=damage, invalid=invalid
    )


def keep_good(file: Path, data: Path) -> None:
    """Keep the profile in ``file`` for the day when it is wrong, if it can be used. Raises OSError."""
    content = file.read_bytes()
    tree = parse_toml(content)
    if not isinstance(tree, ConfigError) and not _wrong_with(_identified(tree, data)):
        keep_last_good(content, data)


def _base(file: Path, data: Path) -> tuple[Tree | list[ConfigError], str]:
    """What the plans are laid over, and what is wrong with the file if that is not what it says."""
    tree = _read(file)
    base = [tree] if isinstance(tree, ConfigError) else _identified(tree, data)
    if (errors := _wrong_with(base)) and (former := last_good(data)) is not None:
        before = _identified(former, data)
        if not _wrong_with(before):
            listed = "; ".join(str(error) for error in errors)
            return (
                before,
                f"{file}: {listed}: mend it, then restart; until then the profile before it is used",
            )
    return base, ""


def _identified(tree: Tree, data: Path) -> Tree:
    patch = read_patch(data)
    if isinstance(patch, str):
        return profile_from_remains(tree, data)
    merged: Tree = merge(tree, patch)
    return merged


def _wrong_with(base: Tree | list[ConfigError]) -> list[ConfigError]:
    profile = base if isinstance(base, list) else load_profile(base)
    return profile if isinstance(profile, list) else []


def _without_broker(patch: Tree) -> Tree:
    """It is pushed over the broker that the identity names, and there is none."""
    return {section: keys for section, keys in patch.items() if section != "mqtt"}


def _read(file: Path) -> Tree | ConfigError:
    try:
        return parse_toml(file.read_bytes())
    except OSError as error:
        return ConfigError("", f"cannot be read: {error.strerror}")
