"""Rollout in waves: one device, a tenth, then all; and when it stops by itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from edge.settings.probation import longest_probation_s
from edge.settings.state_machine import SettingsPhase
from sync.wire.settings_report import SettingsReport

MARGIN_S = 45.0  # for the network, and for a scan in progress
_TOLERATED_SHARE = 0.02  # of a wave after the canary


class DeviceOutcome(StrEnum):
    """State of the document at one device."""

    WAITING = "waiting"
    ON_PROBATION = "on_probation"
    COMMITTED = "committed"
    FAILED = "failed"
    SILENT = "silent"

    @property
    def is_final(self) -> bool:
        """Whether the device will report no further state."""
        return self in (DeviceOutcome.COMMITTED, DeviceOutcome.FAILED, DeviceOutcome.SILENT)


@dataclass(frozen=True, slots=True)
class Wave:
    """Devices that get the document at the same time."""

    name: str
    devices: tuple[str, ...]
    tolerated: int  # failures and silences that do not stop the rollout


def waves(online: Sequence[str], canaries: Sequence[str] = ()) -> list[Wave]:
    """Return the waves of a rollout: ``canaries`` or one device, a tenth, all.

    >>> [len(wave.devices) for wave in waves([f"kiosk-{n}" for n in range(30)])]
    [1, 3, 26]
    """
    first = tuple(canaries) or tuple(online[:1])
    rest = [device for device in online if device not in first]
    tenth = ceil(len(online) / 10)
    parts = [("canary", first), ("10 %", tuple(rest[:tenth])), ("all", tuple(rest[tenth:]))]
    return [
        Wave(name, part, 0 if name == "canary" else int(len(part) * _TOLERATED_SHARE))
        for name, part in parts
        if part
    ]


def outcome(
    report: SettingsReport | None, key: str, rev: int, digest: str
) -> tuple[DeviceOutcome, str]:
    """Return the outcome that ``report`` shows for the document, and the reason.

    ``digest`` is the document's SHA-256.
    """
    if report is None:
        return DeviceOutcome.WAITING, ""
    for refused in report.refused:
        if refused.hash == digest:
            return DeviceOutcome.FAILED, f"{refused.code}: {refused.detail}"
    if report.applied.get(key, 0) >= rev:
        return DeviceOutcome.COMMITTED, ""
    if report.blocked:
        return DeviceOutcome.FAILED, "the device is blocked"
    if report.desired.get(key, 0) < rev:
        return DeviceOutcome.WAITING, ""
    if report.state in (SettingsPhase.REFUSED, SettingsPhase.ROLLED_BACK):
        words = "; ".join(
            f"{error.path}: {error.message}" if error.path else error.message
            for error in report.errors
        )
        return DeviceOutcome.FAILED, f"{report.state}: {words}"
    return DeviceOutcome.ON_PROBATION, report.state


def deadline_s(probation_s: float) -> float:
    """Return how long a wave may take before a device without a report counts as silent."""
    return longest_probation_s(probation_s) + MARGIN_S


def stops(wave: Wave, outcomes: Mapping[str, DeviceOutcome]) -> bool:
    """Return whether too many devices of the wave have failed."""
    bad = sum(
        outcomes.get(device) in (DeviceOutcome.FAILED, DeviceOutcome.SILENT)
        for device in wave.devices
    )
    return bad > wave.tolerated
