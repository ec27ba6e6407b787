"""``up/cfg``: a device's report of its settings, retained. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from edge.documents.settings import MOST_GROUPS
from sync.wire.messages import Addressed, Name, Seconds, WireModel

LONGEST_TEXT: Final = 400  # characters
MOST_ERRORS: Final = 20
MOST_REFUSED: Final = 4
Rev = Annotated[int, Field(ge=0, lt=2**53)]
LayerKey = Annotated[str, Field(max_length=60)]  # as ``SettingsDocument.key``
Revs = Annotated[dict[LayerKey, Rev], Field(max_length=MOST_GROUPS + 3)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class ReportedError(WireModel):
    """One thing wrong with the newest settings."""

    path: Text = Field(description="path of the setting; empty: of the whole document")
    message: Text = Field(description="what is wrong, in English")


class ReportedRefusal(WireModel):
    """A settings document that was refused."""

    hash: Text = Field(description="SHA-256 of the document")
    code: Text = Field(description="why it was refused")
    detail: Text = Field(description="the same in English")


class SettingsReport(Addressed):
    """The state of a device's settings, and the profile under them."""

    state: Text = Field(
        description="phase of the newest settings (docs/explanation/settings.md)",
    )
    desired_rev: Rev = Field(0, description="the highest rev that was received and verified")
    applied_rev: Rev = Field(0, description="the highest rev that was committed")
    desired: Revs = Field(default_factory=dict, description="`desired_rev` by layer")
    applied: Revs = Field(default_factory=dict, description="`applied_rev` by layer")
    hash: Text = Field("", description="of the settings in use; empty: the profile as delivered")
    errors: list[ReportedError] = Field(
        default_factory=list,
        max_length=MOST_ERRORS,
        description="what is wrong with the newest settings",
    )
    refused: list[ReportedRefusal] = Field(
        default_factory=list, max_length=MOST_REFUSED, description="documents that were refused"
    )
    site: Text = Field("", description="the device's site")
    groups: list[Name] = Field(
        default_factory=list, max_length=MOST_GROUPS, description="the device's groups"
    )
    kind: Text = Field("", description="kind of the device, as in its profile")
    software: Text = Field("", description="version of the software")
    certificate_expires_s: Seconds | None = Field(
        None, description="when the device's certificate expires, Unix seconds"
    )
    blocked: Text | None = Field(None, description="why this device is blocked; null: it is not")
    shipped: dict[str, Any] = Field(
        default_factory=dict, description="the part of its profile that settings may change"
    )
