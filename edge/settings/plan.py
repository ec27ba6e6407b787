"""A plan: the documents that hold for a device, merged in order, under one hash. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from edge.settings.document import Layer, SettingsDocument
from edge.settings.merge import Tree

_ORDER = list(Layer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to lay over the shipped profile. ``revs`` is part of its hash: the same content pushed again is another."""

    revs: dict[str, int]  # layer key -> rev
    probation_s: int
    patches: tuple[Tree, ...]  # in the order in which they merge

    @property
    def rev(self) -> int:
        """The highest rev."""
        return max(self.revs.values(), default=0)

    def to_bytes(self) -> bytes:
        """The one encoding, which the hash is over."""
        item = {"revs": self.revs, "probation_s": self.probation_s, "patches": list(self.patches)}
        return json.dumps(item, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal."""
        return sha256(self.to_bytes()).hexdigest()


def make_plan(documents: Iterable[SettingsDocument], groups: tuple[str, ...] = ()) -> Plan | None:
    """The plan of ``documents``, one a layer and name; None of none. Groups merge in the profile's order."""

    def place(document: SettingsDocument) -> tuple[int, int, str]:
        group = groups.index(document.name) if document.name in groups else 0
        return _ORDER.index(document.layer), group, document.name

    listed = sorted(documents, key=place)
    if not listed:
        return None
    return Plan(
        revs={document.key: document.rev for document in listed},
        probation_s=max(document.probation_s for document in listed),
        patches=tuple(document.content for document in listed),
    )


def read_plan(data: bytes, digest: str) -> Plan | None:
    """Return the plan in ``data``; None when it is not the one of ``digest`` (a damaged file)."""
    if sha256(data).hexdigest() != digest:
        return None
    item: dict[str, Any] = json.loads(data)
    return Plan(revs=item["revs"], probation_s=item["probation_s"], patches=tuple(item["patches"]))
