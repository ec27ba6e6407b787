"""``up/cfg``: a device's report of its settings, retained. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from edge.documents.settings import MOST_GROUPS
from sync.wire.messages import Addressed, WireModel

Rev = Annotated[int, Field(ge=0, lt=2**53)]
Revs = dict[str, Rev]
Text = Annotated[str, Field(max_length=400)]


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
    desired: Revs = Field(default_factory=dict, max_length=64, description="`desired_rev` by layer")
    applied: Revs = Field(default_factory=dict, max_length=64, description="`applied_rev` by layer")
    hash: Text = Field("", description="of the settings in use; empty: the profile as delivered")
    errors: list[ReportedError] = Field(
        default_factory=list, max_length=50, description="what is wrong with the newest settings"
    )
    refused: list[ReportedRefusal] = Field(
        default_factory=list, max_length=16, description="documents that were refused"
    )
    site: Text = Field("", description="the device's site")
    groups: list[Text] = Field(
        default_factory=list, max_length=MOST_GROUPS, description="the device's groups"
    )
    kind: Text = Field("", description="kind of the device, as in its profile")
    software: Text = Field("", description="version of the software")
    certificate_expires_s: int | None = Field(
        None, description="when the device's certificate expires, Unix seconds"
    )
    blocked: Text | None = Field(None, description="why this device is blocked; null: it is not")
    shipped: dict[str, Any] = Field(
        default_factory=dict, description="the part of its profile that settings may change"
    )
