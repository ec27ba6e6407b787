"""What the doctor says of one part: how it is, what was found, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from edge.doctor.facts import Unknown
from edge.feedback.result_messages import ResultMessage


class FindingState(StrEnum):
    """How a part is."""

    OK = "ok"
    WARNING = "warning"  # a person should see to it
    FAILURE = "failure"  # codes are not honoured now, or soon and for certain will not be


@dataclass(frozen=True, slots=True)
class Finding:
    """One part's state, what was found, and what to do (None when nothing is)."""

    part: str
    state: FindingState
    found: ResultMessage
    todo: ResultMessage | None = None


def ok(part: str, zh: str, en: str) -> Finding:
    """Nothing to do."""
    return Finding(part, FindingState.OK, ResultMessage(zh, en))


def warning(part: str, found: tuple[str, str], todo: tuple[str, str]) -> Finding:
    """Something to see to; each pair is Chinese, English."""
    return Finding(part, FindingState.WARNING, ResultMessage(*found), ResultMessage(*todo))


def failure(part: str, found: tuple[str, str], todo: tuple[str, str]) -> Finding:
    """Something that stops the device; each pair is Chinese, English."""
    return Finding(part, FindingState.FAILURE, ResultMessage(*found), ResultMessage(*todo))


def worst(findings: Iterable[Finding]) -> FindingState:
    """The state of the device as a whole.

    >>> worst([ok("disk", "好", "good")]).value
    'ok'
    """
    states = {finding.state for finding in findings}
    return next(
        (state for state in (FindingState.FAILURE, FindingState.WARNING) if state in states),
        FindingState.OK,
    )


def unknown_fact(part: str, fact: Unknown | None) -> Finding:
    """The finding for a fact that could not be had."""
    why = fact.why if fact else "not looked at"
    as_root = ("以 root 身份再运行一次", "run the doctor again as root")
    look = ("按上述原因处理后再运行一次", "see to that reason, then run the doctor again")
    todo = as_root if fact and fact.denied else look
    return warning(part, (f"无法检查：{why}", f"could not be checked: {why}"), todo)
