"""One code from its bytes to an outcome: the time of its decoding is in the journal."""

import os
from types import SimpleNamespace

import pytest

from edge.operators.sign_in import SignInService
from edge.redemption.scan_handler import VerifyingHandler
from edge.store import scan_journal
from edge.token.claims import Kind
from edge.token.verification import VerifyPolicy
from edge.values.instant import Instant
from tests.support import token_factory
from tests.support.sample_shop import SITE, open_at, redeemer

NOW = Instant(unix_s=token_factory.NOW_S)
READ_MS = 12.5


@pytest.fixture
def store(tmp_path):
    return open_at(tmp_path, now_s=NOW.unix_s)


@pytest.fixture
def handler(store):
    anchors = SimpleNamespace(trust=token_factory.TRUST, status={})
    sign_in = SignInService(store=store, session_s=3600, idle_s=900, random_bytes=os.urandom)
    return VerifyingHandler(
        redeemer(store),
        anchors,
        audiences=frozenset({SITE}),
        policy=VerifyPolicy(),
        sign_in=sign_in,
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(
            token_factory.token(audience=SITE, kind=Kind.WRITE_OFF), "needs_online", id="a voucher"
        ),
        pytest.param(b"ES1:nonsense", "base45_invalid", id="no token"),
        pytest.param(
            token_factory.token(audience=SITE, kind=Kind.OPERATOR, order_id="anna"),
            "pin_needed",
            id="a badge",
        ),
    ],
)
def test_the_time_that_reading_took_is_in_the_journal(store, handler, content, reason):
    outcome = handler.handle(content, NOW, decode_ms=READ_MS)
    (row,) = scan_journal.rows(store)
    assert (outcome.reason.value, row.reason, row.decode_ms) == (reason, reason, READ_MS)
