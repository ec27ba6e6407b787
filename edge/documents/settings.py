"""A settings document: one layer's content, whole, signed for the purpose ``configuration``.

``{1: tenant, 2: layer, 3: name, 4: rev, 5: schema version, 6: smallest agent version, 7: not before,
8: expires, 9: probation in seconds, 10: content}``. The content is JSON text, since our CBOR has no
floats; the signature covers its exact bytes.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from edge.token import cbor, cose, fields
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused
from edge.token.signed_document import (
    DocumentFault,
    DocumentRefusal,
    Keyring,
    open_document,
    sign_document,
)
from edge.values.instant import Instant

SCHEMA_VERSION: Final = 1  # of the content: edge.config.Profile's
REV_END: Final = 2**53
PROBATION_S: Final = 120  # unless the document says otherwise
LARGEST_CONTENT: Final = 64 * 1024  # characters of JSON
_LABELS: Final = frozenset(range(1, 11))
_TENANT, _LAYER, _NAME, _REV, _SCHEMA, _AGENT, _NOT_BEFORE, _EXPIRES, _PROBATION, _CONTENT = range(
    1, 11
)
_VERSION: Final = re.compile(r"\d+(?:\.\d+)*")


class SettingsLayer(StrEnum):
    """Whom a document is for. Merged in this order: the narrower has the last word."""

    FLEET = "fleet"
    GROUP = "group"
    SITE = "site"
    DEVICE = "device"


class SettingsFault(StrEnum):
    """Why a document, though signed, is not taken. One code a reason."""

    WRONG_AUDIENCE = "settings_wrong_audience"
    SCHEMA_UNKNOWN = "settings_schema_unknown"
    AGENT_TOO_OLD = "settings_agent_too_old"
    TOO_EARLY = "settings_too_early"
    EXPIRED = "settings_expired"
    ROLLBACK = "settings_rollback"  # older than what this device has seen
    EQUIVOCATION = (
        "settings_equivocation"  # the rev that was seen, with other content: a security alarm
    )
    POISON = "settings_poison"  # a process died on it, more than once


@dataclass(frozen=True, slots=True)
class SettingsRefusal:
    """A document that was not taken."""

    fault: SettingsFault | DocumentFault
    detail: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceScope:
    """Who reads: what a document's audience is held against."""

    tenant: str
    device: str
    site: str
    groups: tuple[str, ...] = ()
    agent_version: str  # of this software, "0.1.0"

    @property
    def keys(self) -> frozenset[str]:
        """The layers that are for this device."""
        groups = (f"{SettingsLayer.GROUP}/{group}" for group in self.groups)
        return frozenset(
            {
                str(SettingsLayer.FLEET),
                *groups,
                f"{SettingsLayer.SITE}/{self.site}",
                f"{SettingsLayer.DEVICE}/{self.device}",
            }
        )

    def is_meant(self, document: SettingsDocument) -> bool:
        """Whether ``document`` is for this device."""
        return document.tenant == self.tenant and document.key in self.keys


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsDocument:
    """One layer. ``name`` is the group's, site's or device's; empty for the fleet."""

    tenant: str
    layer: SettingsLayer
    name: str
    rev: int  # grows with each document of a layer; never falls
    content: dict[str, Any]  # a JSON merge patch (RFC 7386) over the layers before it
    schema_version: int = SCHEMA_VERSION
    smallest_agent: str = "0"
    not_before_s: int = 0  # when it may be taken, Unix seconds; what was taken stays
    expires_at_s: int = fields.TIME_END - 1
    probation_s: int = PROBATION_S

    @property
    def key(self) -> str:
        """The layer and its name, as people and files write it: ``fleet``, ``site/shop-1``."""
        return f"{self.layer}/{self.name}" if self.name else str(self.layer)


def sign_settings(document: SettingsDocument, signer: Signer) -> bytes:
    """Return ``document`` signed. Raises ValueError for content that is not JSON or too large."""
    text = json.dumps(
        document.content, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    if len(text) > LARGEST_CONTENT:
        raise ValueError(f"the content is {len(text)} characters long, at most {LARGEST_CONTENT}")
    payload: dict[int, cbor.Item] = {
        _TENANT: document.tenant,
        _LAYER: str(document.layer),
        _NAME: document.name,
        _REV: document.rev,
        _SCHEMA: document.schema_version,
        _AGENT: document.smallest_agent,
        _NOT_BEFORE: document.not_before_s,
        _EXPIRES: document.expires_at_s,
        _PROBATION: document.probation_s,
        _CONTENT: text,
    }
    return sign_document(payload, Purpose.CONFIGURATION, signer)


def read_settings(
    data: bytes, keys: Keyring, *, now: Instant
) -> SettingsDocument | SettingsRefusal:
    """Return the document in ``data`` once its signature holds, whomever it is for. Never raises for any ``data``."""
    document = open_document(data, Purpose.CONFIGURATION, keys, now=now)
    if isinstance(document, DocumentRefusal):
        return SettingsRefusal(document.fault, document.detail)
    try:
        return _read(document.payload)
    except (InputRefused, ValueError, RecursionError) as wrong:
        return SettingsRefusal(DocumentFault.CONTENT, str(wrong))


def reread_settings(data: bytes) -> SettingsDocument | None:
    """Return a document whose signature was verified before it was kept here; None when its file is damaged."""
    with suppress(InputRefused, ValueError, RecursionError):
        return _read(
            cbor.decode(cose.parse(data, cose.STRICT).payload or b"", cbor.DOCUMENT_LIMITS)
        )
    return None


def open_settings(
    data: bytes, keys: Keyring, *, now: Instant, me: DeviceScope
) -> SettingsDocument | SettingsRefusal:
    """As ``read_settings``, and it is for this device, this software and this time."""
    document = read_settings(data, keys, now=now)
    if isinstance(document, SettingsRefusal):
        return document
    if not me.is_meant(document):
        return SettingsRefusal(
            SettingsFault.WRONG_AUDIENCE, f"for {document.tenant} {document.key}, not this device"
        )
    if document.schema_version != SCHEMA_VERSION:
        detail = f"schema version {document.schema_version}, this software knows {SCHEMA_VERSION}: upgrade it"
        return SettingsRefusal(SettingsFault.SCHEMA_UNKNOWN, detail)
    if _numbers(me.agent_version) < _numbers(document.smallest_agent):
        detail = f"needs software {document.smallest_agent}, this is {me.agent_version}: upgrade it"
        return SettingsRefusal(SettingsFault.AGENT_TOO_OLD, detail)
    if now.unix_s < document.not_before_s:
        return SettingsRefusal(SettingsFault.TOO_EARLY, f"not before {document.not_before_s}")
    if now.unix_s >= document.expires_at_s:
        return SettingsRefusal(SettingsFault.EXPIRED, f"to be taken before {document.expires_at_s}")
    return document


def _read(payload: cbor.Item) -> SettingsDocument:
    signed = fields.mapping(payload, "settings", _LABELS)
    layer = SettingsLayer(fields.text(signed, _LAYER, "layer"))
    name = signed.get(_NAME)
    if type(name) is not str or bool(name) == (layer is SettingsLayer.FLEET):
        raise ValueError("a layer has a name, the fleet has none")
    if not _VERSION.match(agent := fields.text(signed, _AGENT, "agent version")):
        raise ValueError("the smallest agent version is not a version")
    not_before_s = fields.integer(signed, _NOT_BEFORE, "start", 0, fields.TIME_END)
    return SettingsDocument(
        tenant=fields.text(signed, _TENANT, "tenant"),
        layer=layer,
        name=name,
        rev=fields.integer(signed, _REV, "rev", 1, REV_END),
        schema_version=fields.integer(signed, _SCHEMA, "schema version", 1, 2**16),
        smallest_agent=agent,
        not_before_s=not_before_s,
        expires_at_s=fields.integer(signed, _EXPIRES, "end", not_before_s + 1, fields.TIME_END),
        probation_s=fields.integer(signed, _PROBATION, "probation", 1, 86_400),
        content=_content(signed.get(_CONTENT)),
    )


def _content(text: cbor.Item) -> dict[str, Any]:
    if type(text) is not str or len(text) > LARGEST_CONTENT:
        raise ValueError("the content is not a text of a reasonable length")
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("the content is not a JSON object")
    return content


def _numbers(version: str) -> tuple[int, ...]:
    """Compare by the leading numbers: "0.10" is above "0.9"; "1.0" equals "1"."""
    found = _VERSION.match(version)
    numbers = [int(part) for part in found.group().split(".")] if found else [0]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
