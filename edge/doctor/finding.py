"""Finding about one part: its state, what was found, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from edge.doctor.facts import Unknown
from edge.feedback.result_messages import ResultMessage


class FindingState(StrEnum):
    """State of a part."""

    OK = "ok"
    WARNING = "warning"  # a person should act
    FAILURE = "failure"  # codes are not redeemed now, or certainly will not be soon


@dataclass(frozen=True, slots=True)
class Finding:
    """One part's state, what was found, and what to do (None: nothing)."""

    part: str
    state: FindingState
    found: ResultMessage
    todo: ResultMessage | None = None


def ok(part: str, zh: str, en: str) -> Finding:
    """Return a finding without anything to do."""
    return Finding(part, FindingState.OK, ResultMessage(zh, en))


def warning(part: str, found: tuple[str, str], todo: tuple[str, str]) -> Finding:
    """Return a finding that a person should act on; each pair is Chinese, English."""
    return Finding(part, FindingState.WARNING, ResultMessage(*found), ResultMessage(*todo))


def failure(part: str, found: tuple[str, str], todo: tuple[str, str]) -> Finding:
    """Return a finding that stops the device; each pair is Chinese, English."""
    return Finding(part, FindingState.FAILURE, ResultMessage(*found), ResultMessage(*todo))


def worst(findings: Iterable[Finding]) -> FindingState:
    """Return the state of the whole device: the worst of its parts.

    >>> worst([ok("disk", "好", "good")]).value
    'ok'
    """
    states = {finding.state for finding in findings}
    return next(
        (state for state in (FindingState.FAILURE, FindingState.WARNING) if state in states),
        FindingState.OK,
    )


def unknown_fact(part: str, fact: Unknown | None) -> Finding:
    """Return the finding for a fact that could not be read."""
    why = fact.why if fact else "it was not read"
    as_root = ("以 root 身份再运行一次", "run the doctor again as root")
    again = ("按上述原因处理后再运行一次", "remove that cause, then run the doctor again")
    todo = as_root if fact and fact.denied else again
    return warning(part, (f"无法检查：{why}", f"could not be checked: {why}"), todo)
