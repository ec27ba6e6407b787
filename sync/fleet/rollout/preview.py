"""What a document would change on each device: its settings now against its settings then. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.config import ConfigError, Profile
from edge.config.merge_patch import Tree, merge, merge_all
from edge.documents.settings import SettingsDocument
from edge.settings.effective import effective, pushable_part
from edge.settings.plan import layer_of, make_plan
from sync.wire.settings_report import SettingsReport

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One setting. ``before`` or ``after`` None: as the software has it."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path}: {_shown(self.before)} -> {_shown(self.after)}"


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of one device. ``errors``: it would refuse, and why."""

    changes: tuple[Change, ...]
    errors: tuple[ConfigError, ...] = ()


def preview(
    report: SettingsReport, new: SettingsDocument, known: Mapping[tuple[str, int], SettingsDocument]
) -> Preview:
    """Compare. ``known`` are the documents that devices may be running, by layer key and rev."""
    running = [known[item] for item in report.applied.items() if item in known]
    then = [document for document in running if document.key != new.key] + [new]
    now, new_profile = (
        effective(_whole(report), _patches(report, documents)) for documents in (running, then)
    )
    if isinstance(new_profile, list) or isinstance(now, list):
        errors = tuple(new_profile) if isinstance(new_profile, list) else ()
        return Preview(
            tuple(_changes(_laid_over(report, running), _laid_over(report, then))), errors
        )
    return Preview(tuple(_changes(_settings(now), _settings(new_profile))))


def _settings(profile: Profile) -> Tree:
    """With the values that nobody set."""
    return pushable_part(profile.model_dump(mode="json", exclude_none=True))


def _patches(report: SettingsReport, documents: Iterable[SettingsDocument]) -> tuple[Tree, ...]:
    return make_plan(
        (layer_of(document, "") for document in documents), tuple(report.groups)
    ).patches


def _laid_over(report: SettingsReport, documents: Iterable[SettingsDocument]) -> Tree:
    return merge_all(report.shipped, _patches(report, documents))


def _whole(report: SettingsReport) -> Tree:
    """A profile that differs from the device's own only in what is not pushed, so that the model can judge it."""
    identity: Tree = {
        "device": {
            "id": report.dev,
            "site": report.site,
            "kind": report.kind,
            "groups": report.groups,
        },
        "trust": {"roots_file": "-"},
    }
    if report.shipped.get("camera", {}).get("source") in ("video", "images"):
        identity["camera"] = {"path": "-"}
    if "mqtt" in report.shipped:
        identity["mqtt"] = {"ca_file": "-", "cert_file": "-", "key_file": "-"}
    whole: Tree = merge(report.shipped, identity)
    return whole


def _changes(before: Any, after: Any, path: str = "") -> Iterable[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _changes(
                before.get(key, _MISSING),
                after.get(key, _MISSING),
                f"{path}.{key}" if path else key,
            )
    elif before != after:
        if isinstance(after, dict):
            yield from _changes({}, after, path)
        elif isinstance(before, dict):
            yield from _changes(before, {}, path)
        else:
            yield Change(
                path, None if before is _MISSING else before, None if after is _MISSING else after
            )


def _shown(value: Any) -> str:
    return "(default)" if value is None else str(value)
