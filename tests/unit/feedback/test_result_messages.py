"""Every reason has words in both languages and one lamp; the documentation lists them all."""

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
def test_a_reason_is_said_in_chinese_and_in_english(reason):
    words = message_for(reason)
    assert re.search(r"[一-鿿]", words.zh)
    assert re.fullmatch(r"[ -~]+", words.en)


@pytest.mark.parametrize("reason", REASONS)
def test_green_shows_only_for_what_was_honoured(reason):
    honoured = isinstance(reason, Verdict) and reason.is_accepted
    assert (signal_for(reason) is Signal.GO) == honoured


def test_words_exist_for_no_other_code():
    assert set(MESSAGES) == set(chain(Rejection, Verdict, SignInResult))


@pytest.mark.parametrize("reason", REASONS)
def test_the_documentation_lists_the_code_with_its_words_and_lamp(reason):
    words = message_for(reason)
    assert (
        f"| `{reason}` | {signal_for(reason).value} | {words.en} | {words.zh} |"
        in PAGE.read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("hint", Hint)
def test_what_is_wrong_with_the_view_of_a_code_is_said_in_both_languages(hint):
    assert re.search(r"[一-鿿]", HINTS[hint].zh)
    assert re.fullmatch(r"[ -~]+", HINTS[hint].en)
