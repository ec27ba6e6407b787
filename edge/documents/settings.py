"""A settings document: the content of one layer, whole, signed for ``configuration``. Pure.

The content is JSON text, since our CBOR has no floats; the signature covers its exact bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from edge.documents.document_type import (
    CborMap,
    DocumentField,
    DocumentType,
    integer,
    member,
    text,
    time,
)
from edge.token import cbor, fields
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.signed_document import DocumentFault, DocumentRefusal, Keyring
from edge.values.instant import Instant

SCHEMA_VERSION: Final = 1  # of the content: edge.config.Profile's
REV_END: Final = 2**53
PROBATION_S: Final = 120  # unless the document says otherwise
LARGEST_CONTENT: Final = 48 * 1024  # bytes of JSON: the layers of one device fit into a message
MOST_GROUPS: Final = 13  # of one device, each of which is a layer beside fleet, site and device
_VERSION: Final = re.compile(r"\d+(?:\.\d+)*")


class SettingsLayer(StrEnum):
    """The devices that a document is for. Merged in this order: the narrower overrides."""

    FLEET = "fleet"
    GROUP = "group"
    SITE = "site"
    DEVICE = "device"


class SettingsFault(StrEnum):
    """Why a signed document is refused. One code a reason."""

    WRONG_AUDIENCE = "settings_wrong_audience"
    SCHEMA_UNKNOWN = "settings_schema_unknown"
    AGENT_TOO_OLD = "settings_agent_too_old"
    TOO_EARLY = "settings_too_early"
    EXPIRED = "settings_expired"
    ROLLBACK = "settings_rollback"  # older than what this device has seen
    # The rev that was seen, with other content: a security alarm.
    EQUIVOCATION = "settings_equivocation"
    POISON = "settings_poison"  # a process died on it, more than once


@dataclass(frozen=True, slots=True)
class SettingsRefusal:
    """A settings document that was refused."""

    fault: SettingsFault | DocumentFault
    detail: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceScope:
    """The device that reads, against which the audience of a document is compared."""

    tenant: str
    device: str
    site: str
    groups: tuple[str, ...] = ()
    agent_version: str  # of this software, "0.1.0"

    @property
    def keys(self) -> frozenset[str]:
        """Return the layers that are for this device."""
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
        """Return whether ``document`` is for this device."""
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
    not_before_s: int = 0  # when it may be applied, Unix seconds; what was applied stays
    expires_at_s: int = fields.TIME_END - 1
    probation_s: int = PROBATION_S

    @property
    def key(self) -> str:
        """Return the layer and its name, as people and files write it: ``site/shop-1``."""
        return f"{self.layer}/{self.name}" if self.name else str(self.layer)


def _read_name(signed: CborMap, label: int, name: str) -> str:
    value = fields.required(signed, label, name)
    return "" if value == "" else fields.text(signed, label, name)


def _read_version(signed: CborMap, label: int, name: str) -> str:
    version = fields.text(signed, label, name)
    if not _VERSION.match(version):
        raise ValueError(f"{name} is not a version")
    return version


def _read_content(signed: CborMap, label: int, name: str) -> dict[str, Any]:
    text = fields.required(signed, label, name)
    if type(text) is not str or len(text.encode()) > LARGEST_CONTENT:
        raise ValueError(f"{name} is not a text of at most {LARGEST_CONTENT} bytes")
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError(f"{name} is not a JSON object")
    return content


def _write_content(content: dict[str, Any]) -> cbor.Item:
    text = json.dumps(
        content, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    if (size := len(text.encode())) > LARGEST_CONTENT:
        raise ValueError(f"the content is {size} bytes long, at most {LARGEST_CONTENT}")
    return text


def _check(document: SettingsDocument) -> None:
    if bool(document.name) == (document.layer is SettingsLayer.FLEET):
        raise ValueError("a layer has a name, the fleet has none")
    if document.expires_at_s <= document.not_before_s:
        raise ValueError("the settings expire before they start")


_TYPE: Final = DocumentType(
    name="settings",
    purpose=Purpose.CONFIGURATION,
    content=SettingsDocument,
    fields=(
        text(1, "tenant"),
        member(2, "layer", SettingsLayer),
        DocumentField(3, "name", _read_name),
        integer(4, "rev", 1, REV_END),
        integer(5, "schema_version", 1, 2**16),
        DocumentField(6, "smallest_agent", _read_version),
        time(7, "not_before_s"),
        time(8, "expires_at_s"),
        integer(9, "probation_s", 1, 86_400),
        DocumentField(10, "content", _read_content, _write_content),
    ),
    rule=_check,
)


def sign_settings(document: SettingsDocument, signer: Signer) -> bytes:
    """Return ``document`` signed. Raises ValueError for content that is not JSON or too large."""
    return _TYPE.sign(document, signer)


def read_settings(
    data: bytes, keys: Keyring, *, now: Instant
) -> SettingsDocument | SettingsRefusal:
    """Return the document in ``data`` once its signature holds, for whichever device it is.

    Never raises, whatever ``data`` is.
    """
    document = _TYPE.open(data, keys, now=now)
    if isinstance(document, DocumentRefusal):
        return SettingsRefusal(document.fault, document.detail)
    return document


def reread_settings(data: bytes) -> SettingsDocument | None:
    """Return a document that was verified before it was stored; None when its file is damaged."""
    document = _TYPE.read_unverified(data)
    return None if isinstance(document, DocumentRefusal) else document


def open_settings(
    data: bytes, keys: Keyring, *, now: Instant, me: DeviceScope
) -> SettingsDocument | SettingsRefusal:
    """Return what ``read_settings`` does, if it is for this device, this software and this time."""
    document = read_settings(data, keys, now=now)
    if isinstance(document, SettingsRefusal):
        return document
    if not me.is_meant(document):
        return SettingsRefusal(
            SettingsFault.WRONG_AUDIENCE, f"for {document.tenant} {document.key}, not this device"
        )
    if document.schema_version != SCHEMA_VERSION:
        detail = (
            f"schema version {document.schema_version}, this software knows {SCHEMA_VERSION}:"
            " upgrade it"
        )
        return SettingsRefusal(SettingsFault.SCHEMA_UNKNOWN, detail)
    if _numbers(me.agent_version) < _numbers(document.smallest_agent):
        detail = f"needs software {document.smallest_agent}, this is {me.agent_version}: upgrade it"
        return SettingsRefusal(SettingsFault.AGENT_TOO_OLD, detail)
    if now.unix_s < document.not_before_s:
        return SettingsRefusal(SettingsFault.TOO_EARLY, f"not before {document.not_before_s}")
    if now.unix_s >= document.expires_at_s:
        return SettingsRefusal(SettingsFault.EXPIRED, f"expired at {document.expires_at_s}")
    return document


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers: "0.10" is above "0.9", and "1.0" equals "1"."""
    found = _VERSION.match(version)
    numbers = [int(part) for part in found.group().split(".")] if found else [0]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
