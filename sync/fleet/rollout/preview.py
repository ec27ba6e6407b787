"""Preview of a settings document: what it would change on each device. Pure."""

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
    """Change of one setting. ``before`` or ``after`` None means the default of the software."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path}: {_shown(self.before)} -> {_shown(self.after)}"


@dataclass(frozen=True, slots=True)
class Preview:
    """Result for one device. With ``errors`` the device would refuse the document."""

    changes: tuple[Change, ...]
    errors: tuple[ConfigError, ...] = ()


def preview(
    report: SettingsReport, new: SettingsDocument, known: Mapping[tuple[str, int], SettingsDocument]
) -> Preview:
    """Return what ``new`` would change on the device that sent ``report``.

    ``known`` are the documents that devices may be running, by layer key and rev.
    """
    running = [known[item] for item in report.applied.items() if item in known]
    then = [document for document in running if document.key != new.key] + [new]
    now, new_profile = (
        effective(_complete(report), _patches(report, documents)) for documents in (running, then)
    )
    if isinstance(new_profile, list) or isinstance(now, list):
        errors = tuple(new_profile) if isinstance(new_profile, list) else ()
        return Preview(tuple(_changes(_merged(report, running), _merged(report, then))), errors)
    return Preview(tuple(_changes(_settings(now), _settings(new_profile))))


def _settings(profile: Profile) -> Tree:
    """Return the pushable part of a profile, with its default values."""
    return pushable_part(profile.model_dump(mode="json", exclude_none=True))


def _patches(report: SettingsReport, documents: Iterable[SettingsDocument]) -> tuple[Tree, ...]:
    return make_plan(
        (layer_of(document, "") for document in documents), tuple(report.groups)
    ).patches


def _merged(report: SettingsReport, documents: Iterable[SettingsDocument]) -> Tree:
    return merge_all(report.shipped, _patches(report, documents))


def _complete(report: SettingsReport) -> Tree:
    """Return the shipped profile with placeholders for the parts that are never reported.

    The device's identity and file names are not pushed; the model needs them to validate the rest.
    """
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
    complete: Tree = merge(report.shipped, identity)
    return complete


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
