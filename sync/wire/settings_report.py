"""``up/cfg``: what a device says of its settings, retained. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sync.wire.codec import MAX_MESSAGE_BYTES
from sync.wire.messages import Malformed, Name, WireFault

Rev = Annotated[int, Field(ge=0, lt=2**53)]
Revs = Annotated[dict[str, Rev], Field(max_length=64)]
Text = Annotated[str, Field(max_length=400)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ReportedError(_Model):
    """One thing wrong with the newest settings."""

    path: Text
    message: Text


class ReportedRefusal(_Model):
    """A document that was not taken, by its SHA-256."""

    hash: Text
    code: Text
    detail: Text


class SettingsReport(_Model):
    """The state of a device's settings, and what they are laid over."""

    v: Literal[1] = 1
    dev: Name
    state: Text  # edge.settings.state_machine.SettingsPhase
    desired_rev: Rev = 0  # the highest rev that was received and believed
    applied_rev: Rev = 0  # the highest rev of what was committed
    desired: Revs = {}  # the same by layer
    applied: Revs = {}
    hash: Text = ""  # of the plan that runs now; empty: as shipped
    errors: Annotated[list[ReportedError], Field(max_length=50)] = []
    refused: Annotated[list[ReportedRefusal], Field(max_length=16)] = []
    site: Text = ""
    groups: Annotated[list[Text], Field(max_length=64)] = []
    kind: Text = ""
    software: Text = ""
    certificate_expires_s: int | None = None
    blocked: Text | None = None  # why this device is blocked
    shipped: dict[str, Any] = {}  # the part of its profile that settings may change


def decode_report(payload: bytes, *, dev: str) -> SettingsReport | Malformed:
    """Read a report that came on the topic of ``dev``."""
    if len(payload) > MAX_MESSAGE_BYTES:
        return Malformed(WireFault.TOO_LARGE, f"{len(payload)} bytes, at most {MAX_MESSAGE_BYTES}")
    try:
        report = SettingsReport.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Malformed(
            WireFault.WRONG_SHAPE,
            f"{'.'.join(str(part) for part in first['loc'])[:80]}: {first['type']}",
        )
    return (
        report
        if report.dev == dev
        else Malformed(WireFault.WRONG_DEVICE, "dev is not the device of the topic")
    )
