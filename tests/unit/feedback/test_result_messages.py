"""Every reason has a message in both languages and one signal, and is in the documentation."""

import re
from itertools import chain

import pytest

from edge.domain.verdict import Verdict
from edge.feedback.result_messages import HINTS, MESSAGES, message_for
from edge.feedback.signals import signal_for
from edge.operators.sign_in_result import SignInResult
from edge.ports import Hint, Signal
from edge.token.rejection import Rejection
from tests.support.paths import DOCS

REASONS = [
    pytest.param(reason, id=f"{type(reason).__name__}-{reason}")
    for reason in chain(Rejection, Verdict, SignInResult)
]
PAGE = DOCS / "reference" / "reason-codes.md"


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_has_a_message_in_chinese_and_in_english(reason):
    message = message_for(reason)
    assert re.search(r"[一-鿿]", message.zh)
    assert re.fullmatch(r"[ -~]+", message.en)


@pytest.mark.parametrize("reason", REASONS)
def test_the_signal_is_go_only_for_an_accepted_code(reason):
    accepted = isinstance(reason, Verdict) and reason.is_accepted
    assert (signal_for(reason) is Signal.GO) == accepted


def test_there_is_a_message_for_each_reason_and_no_other():
    assert set(MESSAGES) == set(chain(Rejection, Verdict, SignInResult))


@pytest.mark.parametrize("reason", REASONS)
def test_the_documentation_lists_the_reason_with_its_message_and_signal(reason):
    message = message_for(reason)
    assert (
        f"| `{reason}` | {signal_for(reason).value} | {message.en} | {message.zh} |"
        in PAGE.read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("hint", Hint)
def test_a_hint_has_a_message_in_both_languages(hint):
    assert re.search(r"[一-鿿]", HINTS[hint].zh)
    assert re.fullmatch(r"[ -~]+", HINTS[hint].en)
