"""Table of the fleet's devices: what is wrong with each, the worst on top. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from edge.settings.state_machine import SettingsPhase
from edge.values.printable import printable

EXPIRES_SOON_S = 14 * 86_400
HEADER = ["device", "site", "state", "settings", "unsent", "software", "health"]
_IN_PROGRESS = (
    SettingsPhase.RECEIVED,
    SettingsPhase.VERIFIED,
    SettingsPhase.VALIDATED,
    SettingsPhase.TESTING_LINK,
    SettingsPhase.STAGED,
    SettingsPhase.APPLYING,
    SettingsPhase.PROBATION,
)
_SECURITY = ("its enrolment", "two devices", "security")  # how an issue begins that counts double


def issues(device: dict[str, Any], now_s: int) -> list[str]:
    """Return what is wrong with a device, worst first; empty for a healthy one."""
    found = [*_identity_issues(device), *_settings_issues(device["report"] or {})]
    expires_s = (device["report"] or {}).get("certificate_expires_s")
    expires_s = expires_s or device["certificate_expires_s"]
    if expires_s and expires_s < now_s:
        found.append("its certificate has expired")
    elif expires_s and expires_s - now_s < EXPIRES_SOON_S:
        found.append(f"its certificate expires in {(expires_s - now_s) // 86_400} days")
    if device.get("orders_dropped") is not None:
        found.append(
            f"orders_shrunk: keeps {device['orders_dropped']} orders that the platform no longer"
            " names; import them again, or: edge-hub orders confirm-shrink"
        )
    if cases := device["conflicts"] + device["refused_events"]:
        found.append(f"{cases} cases to settle")
    return found


def _identity_issues(device: dict[str, Any]) -> Iterable[str]:
    report = device["report"] or {}
    if device["revoked"]:
        yield f"revoked ({device['revoked']['stage']}): {device['revoked']['reason']}"
    if device["code_reused"]:
        yield "its enrolment code was shown by two devices: was it stolen? edge-fleet enrol --list"
    if device["sequence_conflicts"]:
        yield "two devices use this identity"
    if any(refused["code"] == "settings_equivocation" for refused in report.get("refused", [])):
        yield "security alarm: a revision with two contents"
    if report.get("blocked") and not device["revoked"]:
        yield f"reports that it is blocked: {report['blocked']}"
    if device["state"] is None:
        yield "has never connected"
    elif device["state"] != "online":
        yield "is offline"
    else:
        yield from _health_issues(device["health"] or {})


def _health_issues(health: dict[str, Any]) -> Iterable[str]:
    if health.get("scanner") == "silent":
        yield "its scanner shows no sign of life: look at the device, or start it again"
    if health.get("clock") == "floor_only":
        yield "its clock is not believed: vouchers wait until it is set"
    yield from health.get("problems", [])


def _settings_issues(report: dict[str, Any]) -> Iterable[str]:
    listed = report.get("errors", [])
    errors = "; ".join(f"{error['path']} {error['message']}".strip() for error in listed)
    if report.get("state") in (SettingsPhase.REFUSED, SettingsPhase.ROLLED_BACK):
        yield f"settings {report['state']}: {errors}"
    elif report.get("state") == SettingsPhase.COMMITTED and listed:
        yield f"cannot use its settings, runs as shipped: {errors}"


def severity(device: dict[str, Any], now_s: int) -> tuple[int, str]:
    """Return a sort key that puts devices with issues on top, the gravest first.

    A device that is cut off needs no attention any more, and comes with the healthy ones.
    """
    weight = sum(2 if issue.startswith(_SECURITY) else 1 for issue in issues(device, now_s))
    return (-weight if needs_attention(device, now_s) else 0, device["dev"])


def needs_attention(device: dict[str, Any], now_s: int) -> bool:
    """Return whether a person should act: never for a device that is revoked and cut off."""
    cut_off = bool(device["revoked"]) and device["revoked"]["stage"] == "cut"
    return not cut_off and bool(issues(device, now_s))


def row(device: dict[str, Any], now_s: int) -> list[str]:
    """Return the cells of a device, under ``HEADER``."""
    report = device["report"] or {}
    unsent = (device["last_seq"] or 0) - (device["acknowledged_through"] or 0)
    settings = report.get("state", "-")
    if settings == SettingsPhase.COMMITTED:
        settings = f"rev {report['applied_rev']}"
    elif settings in _IN_PROGRESS:
        settings = f"{settings} {report['desired_rev']}"
    return [
        device["dev"],
        device["site"],
        "revoked" if device["revoked"] else device["state"] or "-",
        settings,
        str(max(unsent, 0)),
        report.get("software", "-"),
        "; ".join(issues(device, now_s)) or "healthy",
    ]


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return each row as a line, each column as wide as its widest cell, the last one free."""
    if not rows:
        return []
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
