"""What a process runs on: the shipped profile, the device's identity over it, and the chosen plan.

A start reads each file once and validates the whole profile once. Only what has changed since, or
is wrong, costs another validation: a shipped profile that was edited, or a plan that cannot be
used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.config import ConfigError, Profile, load_profile, parse_toml
from edge.config.merge_patch import Tree
from edge.identity.damage import (
    IDENTITY,
    IdentityDamage,
    describe_damage,
    lay_identity,
    read_identity_profile,
)
from edge.settings.effective import effective
from edge.settings.folder import SettingsFolder
from edge.settings.last_good import keep_last_good, read_last_good
from edge.system.file_version import FileVersion, file_version


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveProfile:
    """The profile to run on, and what is wrong with what should have been run on instead."""

    profile: Profile
    baseline: Tree  # the shipped profile under the device's identity, without the plan
    digest: str | None  # of the plan in ``profile``; None: as shipped
    problem: str = ""  # why the chosen plan is not in ``profile``
    damage: str = ""  # of the device's identity: no code is accepted until it is repaired
    invalid: str = ""  # of the shipped profile: the last one that could be used is in its place
    unkept: bytes | None = None  # the shipped file where it can be used and is not kept yet
    identity_version: FileVersion | None = None  # of the identity's file that was read


@dataclass(frozen=True, slots=True, kw_only=True)
class _Baseline:
    tree: Tree
    profile: Profile | list[ConfigError] | None = None  # where it was validated by itself
    invalid: str = ""
    unkept: bytes | None = None


def load_active_profile(file: Path, data: Path) -> ActiveProfile | list[ConfigError]:
    """Return what to run on: ``file`` is the shipped profile, ``data`` the device's folder.

    A plan that cannot be used is left out: the device starts as shipped and reports why. Errors are
    returned only where neither the shipped profile nor one before it can be used, and the plan does
    not repair it.
    """
    identity_version = file_version(data / IDENTITY)
    identity = read_identity_profile(data)
    baseline = _read_baseline(file, identity, data)
    if isinstance(baseline, list):
        return baseline
    profile, digest, problem = _lay_plan(baseline, identity, data)
    if isinstance(profile, list):
        return profile
    return ActiveProfile(
        profile=profile,
        baseline=baseline.tree,
        digest=digest,
        problem=problem,
        damage=describe_damage(identity, data),
        invalid=baseline.invalid,
        unkept=baseline.unkept,
        identity_version=identity_version,
    )


def keep_good(active: ActiveProfile, data: Path) -> None:
    """Keep the shipped profile for the day when it is wrong, unless it is kept. Raises OSError."""
    if active.unkept is not None:
        keep_last_good(active.unkept, data)


def _lay_plan(
    baseline: _Baseline, identity: Tree | IdentityDamage, data: Path
) -> tuple[Profile | list[ConfigError], str | None, str]:
    """Return the profile, the hash of the plan in it, and why the chosen plan is not in it."""
    digest, plan = SettingsFolder(data).chosen()
    problem = (
        "" if digest is None or plan else "the settings' file is gone or damaged: push them again"
    )
    if plan is not None:
        damaged = isinstance(identity, IdentityDamage)
        patches = [_without_broker(patch) for patch in plan.patches] if damaged else plan.patches
        profile = effective(baseline.tree, patches)
        if isinstance(profile, Profile):
            return profile, digest, ""
        problem = "; ".join(str(error) for error in profile)
    return baseline.profile or load_profile(baseline.tree), None, problem


def _read_baseline(
    file: Path, identity: Tree | IdentityDamage, data: Path
) -> _Baseline | list[ConfigError]:
    """Read the shipped profile, or the last one that could be used where this one cannot.

    Content that equals the last good one was validated when it was kept. Where no profile before it
    can be used either, a plan may repair the shipped one.
    """
    shipped, last_good = _read(file), read_last_good(data)
    if isinstance(shipped, ConfigError):
        return _last_good_baseline(file, [shipped], last_good, identity, data) or [shipped]
    content, tree = shipped
    tree = lay_identity(tree, identity, data)
    if content == last_good:
        return _Baseline(tree=tree)
    profile = load_profile(tree)
    if isinstance(profile, Profile):
        return _Baseline(tree=tree, profile=profile, unkept=content)
    invalid = _invalid(file, profile, "the pushed settings repair it")
    return _last_good_baseline(file, profile, last_good, identity, data) or _Baseline(
        tree=tree, profile=profile, invalid=invalid
    )


def _last_good_baseline(
    file: Path,
    errors: list[ConfigError],
    last_good: bytes | None,
    identity: Tree | IdentityDamage,
    data: Path,
) -> _Baseline | None:
    """Return the last profile that could be used, to stand for ``file``; None for none."""
    shipped = None if last_good is None else parse_toml(last_good)
    if shipped is None or isinstance(shipped, ConfigError):
        return None
    tree = lay_identity(shipped, identity, data)
    profile = load_profile(tree)
    if isinstance(profile, list):
        return None
    invalid = _invalid(file, errors, "the profile before it is used")
    return _Baseline(tree=tree, profile=profile, invalid=invalid)


def _invalid(file: Path, errors: list[ConfigError], meanwhile: str) -> str:
    listed = "; ".join(str(error) for error in errors)
    return f"{file}: {listed}: correct it, then restart; until then {meanwhile}"


def _without_broker(patch: Tree) -> Tree:
    """Drop ``[mqtt]`` from a pushed layer: without an identity there is no broker to override."""
    return {section: keys for section, keys in patch.items() if section != "mqtt"}


def _read(file: Path) -> tuple[bytes, Tree] | ConfigError:
    try:
        content = file.read_bytes()
    except OSError as error:
        return ConfigError("", f"cannot be read: {error.strerror}")
    tree = parse_toml(content)
    return tree if isinstance(tree, ConfigError) else (content, tree)
