"""A plan: the documents that hold for a device, merged in order, under one hash. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from edge.config.merge_patch import Tree
from edge.documents.settings import SettingsDocument, SettingsLayer

_ORDER = [str(layer) for layer in SettingsLayer]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLayer:
    """One document's part. ``digest`` is the document's SHA-256."""

    key: str  # "fleet", "site/shop-1"
    rev: int
    digest: str
    probation_s: int
    content: Tree


@dataclass(frozen=True, slots=True)
class Plan:
    """What to lay over the shipped profile. Its hash is over the revs too: the same content pushed again is another."""

    layers: tuple[PlanLayer, ...]  # in the order in which they merge

    @property
    def rev(self) -> int:
        """The highest rev."""
        return max((layer.rev for layer in self.layers), default=0)

    @property
    def revs(self) -> dict[str, int]:
        """The rev of each layer."""
        return {layer.key: layer.rev for layer in self.layers}

    @property
    def patches(self) -> tuple[Tree, ...]:
        """The contents, in order."""
        return tuple(layer.content for layer in self.layers)

    @property
    def probation_s(self) -> int:
        """The longest that a layer asks for."""
        return max((layer.probation_s for layer in self.layers), default=1)

    def to_bytes(self) -> bytes:
        """The one encoding, which the hash is over."""
        item = [asdict(layer) for layer in self.layers]
        return json.dumps(item, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal."""
        return sha256(self.to_bytes()).hexdigest()


def layer_of(document: SettingsDocument, digest: str) -> PlanLayer:
    """The part of a document, whose SHA-256 is ``digest``."""
    return PlanLayer(
        key=document.key,
        rev=document.rev,
        digest=digest,
        probation_s=document.probation_s,
        content=document.content,
    )


def make_plan(layers: Iterable[PlanLayer], groups: tuple[str, ...] = ()) -> Plan:
    """The plan of ``layers``, one a key. Groups merge in the profile's order."""

    def place(layer: PlanLayer) -> tuple[int, int, str]:
        kind, _, name = layer.key.partition("/")
        return _ORDER.index(kind), groups.index(name) if name in groups else 0, name

    return Plan(tuple(sorted(layers, key=place)))


def next_plan(
    good: Plan, new: Iterable[PlanLayer], groups: tuple[str, ...], denied: Iterable[str]
) -> Plan:
    """What to try after ``good``: everything new at once, else, when that failed, the oldest by itself.

    So a document is blamed only for what it does alone, and one that failed does not hold up the others.
    """
    base = {layer.key: layer for layer in good.layers}
    fresh = sorted((layer for layer in new if layer.digest not in denied and layer != base.get(layer.key)),
                   key=lambda layer: layer.rev)  # fmt: skip
    whole = make_plan((base | {layer.key: layer for layer in fresh}).values(), groups)
    if len(fresh) < 2 or whole.digest not in denied:
        return whole
    return make_plan((base | {fresh[0].key: fresh[0]}).values(), groups)


def blamed(plan: Plan, good: Plan | None) -> tuple[str, ...]:
    """What to deny when ``plan`` failed: it, and its one new document when it had but one."""
    fresh = [layer.digest for layer in plan.layers if good is None or layer not in good.layers]
    return (plan.digest, *fresh) if len(fresh) == 1 else (plan.digest,)


def read_plan(data: bytes, digest: str) -> Plan | None:
    """Return the plan in ``data``; None when it is not the one of ``digest`` (a damaged file)."""
    if sha256(data).hexdigest() != digest:
        return None
    items: list[dict[str, Any]] = json.loads(data)
    return Plan(tuple(PlanLayer(**item) for item in items))
