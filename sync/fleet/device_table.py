"""How the fleet is: what is wrong with each device, and the sick ones first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge.settings.state_machine import SettingsPhase

EXPIRES_SOON_S = 14 * 86_400
_TRYING = (
    SettingsPhase.RECEIVED,
    SettingsPhase.VERIFIED,
    SettingsPhase.VALIDATED,
    SettingsPhase.TESTING_LINK,
    SettingsPhase.STAGED,
    SettingsPhase.APPLYING,
    SettingsPhase.PROBATION,
)


def issues(device: dict[str, Any], now_s: int) -> list[str]:
    """What is wrong with a device, worst first; empty for a healthy one."""
    report = device["report"] or {}
    found = []
    if device["revoked"]:
        found.append(f"revoked ({device['revoked']['stage']}): {device['revoked']['reason']}")
    if device["code_reused"]:
        found.append(
            "its enrolment code was shown by two devices: was it stolen? edge-fleet enrol --list"
        )
    if device["clashes"]:
        found.append("two devices use this identity")
    if any(refused["code"] == "settings_equivocation" for refused in report.get("refused", [])):
        found.append("security alarm: a revision with two contents")
    if report.get("blocked") and not device["revoked"]:
        found.append(f"says that it is blocked: {report['blocked']}")
    if device["state"] is None:
        found.append("was never heard")
    elif device["state"] != "online":
        found.append("is away")
    if report.get("state") in (SettingsPhase.REFUSED, SettingsPhase.ROLLED_BACK):
        errors = "; ".join(
            f"{error['path']} {error['message']}".strip() for error in report.get("errors", [])
        )
        found.append(f"settings {report['state']}: {errors}")
    elif report.get("state") == SettingsPhase.COMMITTED and report.get("errors"):
        errors = "; ".join(
            f"{error['path']} {error['message']}".strip() for error in report["errors"]
        )
        found.append(f"cannot use its settings, runs as shipped: {errors}")
    expires_s = report.get("certificate_expires_s") or device["certificate_expires_s"]
    if expires_s and expires_s < now_s:
        found.append("its certificate has expired")
    elif expires_s and expires_s - now_s < EXPIRES_SOON_S:
        found.append(f"its certificate expires in {(expires_s - now_s) // 86_400} days")
    if device["conflicts"] or device["refused_events"]:
        found.append(f"{device['conflicts'] + device['refused_events']} cases to settle")
    return found


def severity(device: dict[str, Any], now_s: int) -> tuple[int, str]:
    """Sorts the sick to the top: revoked devices are dealt with, and come after those that need somebody."""
    found = issues(device, now_s)
    grave = sum(
        2 if word.startswith(("its enrolment", "two devices", "security")) else 1 for word in found
    )
    return (-grave if needs_attention(device, now_s) else 0, device["dev"])


def needs_attention(device: dict[str, Any], now_s: int) -> bool:
    """Whether somebody should do something: not about a device that was put out and is cut off."""
    dealt_with = bool(device["revoked"]) and device["revoked"]["stage"] == "cut"
    return not dealt_with and bool(issues(device, now_s))


def row(device: dict[str, Any], now_s: int) -> list[str]:
    """The cells of a device: name, site, state, settings, unsent events, software, what is wrong."""
    report = device["report"] or {}
    unsent = (device["last_seq"] or 0) - (device["settled_through"] or 0)
    settings = report.get("state", "-")
    if settings == SettingsPhase.COMMITTED:
        settings = f"rev {report['applied_rev']}"
    elif settings in _TRYING:
        settings = f"{settings} {report['desired_rev']}"
    return [
        device["dev"],
        device["site"],
        "revoked" if device["revoked"] else device["state"] or "-",
        settings,
        str(max(unsent, 0)),
        report.get("software", "-"),
        "; ".join(issues(device, now_s)) or "well",
    ]


HEAD = ["device", "site", "state", "settings", "unsent", "software", "health"]


def drawn(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of the width of their widest cell, the last one free."""
    widths = (
        [max((len(row[column]) for row in rows), default=0) for column in range(len(rows[0]) - 1)]
        if rows
        else []
    )
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
