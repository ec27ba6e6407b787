"""``up/cfg``: what a device says of its settings, retained. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from sync.wire.messages import Addressed, WireModel

Rev = Annotated[int, Field(ge=0, lt=2**53)]
Revs = Annotated[dict[str, Rev], Field(max_length=64)]
Text = Annotated[str, Field(max_length=400)]


class ReportedError(WireModel):
    """One thing wrong with the newest settings."""

    path: Text
    message: Text


class ReportedRefusal(WireModel):
    """A document that was not taken, by its SHA-256."""

    hash: Text
    code: Text
    detail: Text


class SettingsReport(Addressed):
    """The state of a device's settings, and what they are laid over."""

    state: Text  # edge.settings.state_machine.SettingsPhase
    desired_rev: Rev = 0  # the highest rev that was received and believed
    applied_rev: Rev = 0  # the highest rev of what was committed
    desired: Revs = Field(default_factory=dict)  # the same by layer
    applied: Revs = Field(default_factory=dict)
    hash: Text = ""  # of the plan that runs now; empty: as shipped
    errors: list[ReportedError] = Field(default_factory=list, max_length=50)
    refused: list[ReportedRefusal] = Field(default_factory=list, max_length=16)
    site: Text = ""
    groups: list[Text] = Field(default_factory=list, max_length=64)
    kind: Text = ""
    software: Text = ""
    certificate_expires_s: int | None = None
    blocked: Text | None = None  # why this device is blocked
    shipped: dict[str, Any] = Field(
        default_factory=dict
    )  # the part of its profile that settings may change
