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
    """What to lay over the shipped profile.

    Its hash covers the revs too: the same content pushed again is another plan.
    """

    layers: tuple[PlanLayer, ...]  # in the order in which they merge

    @property
    def rev(self) -> int:
        """Return the highest rev."""
        return max((layer.rev for layer in self.layers), default=0)

    @property
    def revs(self) -> dict[str, int]:
        """Return the rev of each layer, by its key."""
        return {layer.key: layer.rev for layer in self.layers}

    @property
    def patches(self) -> tuple[Tree, ...]:
        """Return the contents, in the order in which they merge."""
        return tuple(layer.content for layer in self.layers)

    @property
    def probation_s(self) -> int:
        """Return the longest probation that a layer asks for."""
        return max((layer.probation_s for layer in self.layers), default=1)

    def to_bytes(self) -> bytes:
        """Return the one encoding, which the hash covers."""
        item = [asdict(layer) for layer in self.layers]
        return json.dumps(item, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the encoding, in hexadecimal."""
        return sha256(self.to_bytes()).hexdigest()


def layer_of(document: SettingsDocument, digest: str) -> PlanLayer:
    """Return the part of ``document``, whose SHA-256 is ``digest``."""
    return PlanLayer(
        key=document.key,
        rev=document.rev,
        digest=digest,
        probation_s=document.probation_s,
        content=document.content,
    )


def make_plan(layers: Iterable[PlanLayer], groups: tuple[str, ...] = ()) -> Plan:
    """Return the plan of ``layers``, one a key. Groups merge in the order of the profile."""

    def position(layer: PlanLayer) -> tuple[int, int, str]:
        kind, _, name = layer.key.partition("/")
        return _ORDER.index(kind), groups.index(name) if name in groups else 0, name

    return Plan(tuple(sorted(layers, key=position)))


def next_plan(
    good: Plan, new: Iterable[PlanLayer], groups: tuple[str, ...], denied: Iterable[str]
) -> Plan:
    """Return what to try after ``good``: all that is new; where that failed, the oldest alone.

    So a document is blamed only for what it does alone, and a failure does not hold up the others.
    """
    base = {layer.key: layer for layer in good.layers}
    untried = [
        layer for layer in new if layer.digest not in denied and layer != base.get(layer.key)
    ]
    fresh = sorted(untried, key=lambda layer: layer.rev)
    whole = make_plan((base | {layer.key: layer for layer in fresh}).values(), groups)
    if len(fresh) < 2 or whole.digest not in denied:
        return whole
    return make_plan((base | {fresh[0].key: fresh[0]}).values(), groups)


def blamed(plan: Plan, good: Plan | None) -> tuple[str, ...]:
    """Return what to deny after ``plan`` failed: it, and its new document where it had only one."""
    fresh = [layer.digest for layer in plan.layers if good is None or layer not in good.layers]
    return (plan.digest, *fresh) if len(fresh) == 1 else (plan.digest,)


def read_plan(data: bytes, digest: str) -> Plan | None:
    """Return the plan in ``data``; None where its hash is not ``digest`` (a damaged file)."""
    if sha256(data).hexdigest() != digest:
        return None
    items: list[dict[str, Any]] = json.loads(data)
    return Plan(tuple(PlanLayer(**item) for item in items))
