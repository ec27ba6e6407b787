"""``edge-scanner doctor``: what this device has, what is wrong, what to do."""

from __future__ import annotations

import locale
import os
import sys
from pathlib import Path
from typing import Any

import click

from edge.doctor.checks import check_device
from edge.doctor.collection import collect
from edge.doctor.finding import Finding, FindingState, worst
from edge.feedback.result_messages import ResultMessage
from edge.system.terminal import print_lines
from edge.values.printable import json_line

_MARKS = {
    FindingState.OK: ("ok", "green"),
    FindingState.WARNING: ("warning", "yellow"),
    FindingState.FAILURE: ("FAILURE", "red"),
}
_MARKS_ZH = {FindingState.OK: "正常", FindingState.WARNING: "注意", FindingState.FAILURE: "故障"}


@click.command()
@click.option(
    "--profile",
    "profile_file",
    type=click.Path(path_type=Path),
    default=lambda: (
        Path(os.environ.get("EDGE_SCANNER_CONFIG", "/etc/edge-scanner")) / "profile.toml"
    ),
    help="The device profile.  [default: /etc/edge-scanner/profile.toml]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="EDGE_SCANNER_DATA",
    default=Path("/var/lib/edge-scanner"),
    show_default=True,
    show_envvar=True,
    help="The device's data folder.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with both languages.")
@click.option(
    "--lang", type=click.Choice(["zh", "en"]), help="The language.  [default: the system's]"
)
@click.option(
    "--timeout-s",
    type=click.FloatRange(0.1, 60),
    default=5.0,
    show_default=True,
    help="Limit for the broker.",
)
def doctor(
    profile_file: Path, data: Path, as_json: bool, lang: str | None, timeout_s: float
) -> None:
    """Check this device: each part ok, warning or failure, and what to do. Exit 1 on a failure.

    Example: sudo edge-scanner doctor
    """
    findings = check_device(collect(profile_file, data, timeout_s=timeout_s))
    if as_json:
        print_lines(json_line(_report(findings)))
    else:
        _show(findings, lang or _system_language())
    sys.exit(1 if worst(findings) is FindingState.FAILURE else 0)


def _report(findings: list[Finding]) -> dict[str, Any]:
    return {"state": worst(findings).value, "findings": [_entry(finding) for finding in findings]}


def _entry(finding: Finding) -> dict[str, Any]:
    return {
        "part": finding.part,
        "state": finding.state.value,
        "found": _languages(finding.found),
        "todo": _languages(finding.todo) if finding.todo else None,
    }


def _languages(message: ResultMessage) -> dict[str, str]:
    return {"zh": message.zh, "en": message.en}


def _system_language() -> str:
    named = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG")
    return "zh" if (named or locale.getlocale()[0] or "").lower().startswith("zh") else "en"


def _show(findings: list[Finding], lang: str) -> None:
    width = max(len(finding.part) for finding in findings)
    for finding in findings:
        mark, colour = _MARKS[finding.state]
        mark = f"{_MARKS_ZH[finding.state]}" if lang == "zh" else f"{mark:<7}"
        found = getattr(finding.found, lang)
        print_lines(f"  {finding.part:<{width}}  {found}", head=mark, fg=colour)
        if finding.todo:
            print_lines(f"{'':<{width + 11}}-> {getattr(finding.todo, lang)}")
